import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcomesDir } from '../test/conformance/outcomes.ts';
import { committedDir, pagePath, readOutcomes } from './provider-matrix/committed.ts';
import { hasColumn, matrixPage } from './provider-matrix/matrix-page.ts';
import { fileNameOf, mergeOutcomes } from './provider-matrix/merge-outcomes.ts';
import { suiteCases } from './provider-matrix/suite-cases.ts';

/**
 * Takes what the last runs of the suites left into `docs/providers/outcomes`, and writes `docs/providers/matrix.md` from
 * that: `node scripts/provider-matrix.ts [directory with outcomes of another machine...]`.
 */
const current = suiteCases();
const runs = [committedDir, outcomesDir, ...process.argv.slice(2)].flatMap(readOutcomes).filter(hasColumn);
const merged = mergeOutcomes(runs, current);
mkdirSync(committedDir, { recursive: true });
for (const name of readdirSync(committedDir)) rmSync(join(committedDir, name));
for (const suite of merged) writeFileSync(join(committedDir, fileNameOf(suite)), `${JSON.stringify(suite, null, 1)}\n`);
writeFileSync(pagePath, matrixPage(merged, current));
process.stdout.write(`${pagePath}: ${merged.length} suites of ${new Set(merged.map(({ provider }) => provider)).size} providers\n`);
