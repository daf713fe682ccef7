import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Outcomes } from './merge-outcomes.ts';

const providers = resolve(import.meta.dirname, '../../docs/providers');
export const pagePath: string = join(providers, 'matrix.md');
/** What is known from runs on any machine, so that a run of one provider does not need those of all. */
export const committedDir: string = join(providers, 'outcomes');

export function readOutcomes(directory: string): Outcomes[] {
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.json')) : [];
  return names.toSorted().map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Outcomes);
}
