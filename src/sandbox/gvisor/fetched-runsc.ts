import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Where `fetchRunsc` puts gVisor's runtime, beside CRIU and for the same reason. */
export const fetchedGvisorDir = join(import.meta.dirname, '../../../.cache/gvisor');

export function fetchedRunscPath(directory: string): string {
  return join(directory, 'root/usr/bin/runsc');
}

/** The newest of what was fetched, or `null`. */
export async function findFetchedRunsc(directory: string = fetchedGvisorDir): Promise<string | null> {
  const names = existsSync(directory) ? (await readdir(directory)).filter((name) => /^\d/.test(name)) : [];
  const paths = names
    .toSorted()
    .toReversed()
    .map((name) => fetchedRunscPath(join(directory, name)));
  return paths.find((path) => existsSync(path)) ?? null;
}
