import { resolve } from 'node:path';
import { ensureCriu } from '../src/sandbox/providers/oci/criu/ensure-criu.ts';

/** `node scripts/fetch-criu.ts <data directory>`: has CRIU ready before the first hibernate needs it. */
const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) {
  process.stderr.write('usage: node scripts/fetch-criu.ts <data directory>\n');
  process.exit(2);
}
const criu = await ensureCriu(resolve(dataDir));
process.stdout.write(`CRIU ${criu.version} (${criu.source}): ${criu.wrapper}\n`);
