import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const conformance = resolve(import.meta.dirname, '../../test/conformance');
/** Where the cases of each suite are written. */
const sources: Record<string, readonly string[]> = {
  provider: ['sandbox-provider.ts', 'sandbox-inside.ts'],
  persistence: ['sandbox-persistence.ts'],
  failures: ['sandbox-failures.ts'],
  network: ['sandbox-network.ts'],
};

/** The names of the cases that each suite has today, as they stand in its text. */
export function suiteCases(): Record<string, string[]> {
  return Object.fromEntries(Object.entries(sources).map(([suite, files]) => [suite, files.flatMap(casesIn)]));
}

function casesIn(file: string): string[] {
  const text = readFileSync(join(conformance, file), 'utf8');
  return [...text.matchAll(/\btest\((['"])((?:\\.|(?!\1).)*)\1/g)].map(([, , name]) => name!.replaceAll(/\\(.)/g, '$1'));
}
