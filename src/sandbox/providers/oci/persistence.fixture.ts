import { createOciProvider } from './oci.ts';

/** Hibernates and wakes a sandbox over and over until it is killed: `node persistence.fixture.ts <data directory> <id>`. */
const [dataDir, id] = process.argv.slice(2) as [string, string];
const provider = createOciProvider({ dataDir });
const options = { signal: AbortSignal.timeout(60_000) };
await provider.list(options);
process.stdout.write('ready\n');
for (;;) {
  if ((await provider.get(id, options)).status === 'hibernated') await provider.wake(id, options);
  await provider.hibernate(id, options);
}
