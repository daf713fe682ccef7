import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { SuiteOutcome } from '../../test/conformance/outcomes.ts';
import { committedDir, pagePath, readOutcomes } from './committed.ts';
import { matrixPage } from './matrix-page.ts';
import { mergeOutcomes } from './merge-outcomes.ts';
import { suiteCases } from './suite-cases.ts';

const run = (at: string, cases: Record<string, SuiteOutcome['cases'][number]['outcome']>, more: Partial<SuiteOutcome> = {}): SuiteOutcome => ({
  suite: 'provider',
  provider: 'docker',
  capabilities: null,
  at,
  cases: Object.entries(cases).map(([name, outcome]) => ({ name, outcome, lacks: outcome === 'refused' ? 'fork' : null })),
  ...more,
});
const current = { provider: ['one', 'two', 'three'] };

describe('merging runs', () => {
  test('the newest word on each case counts, whichever file comes first; what is no case any more goes', () => {
    const runs = [
      run('2026-01-03', { two: 'passed' }),
      run('2026-01-01', { one: 'failed', two: 'failed', gone: 'passed' }, { ranOn: ['kernel 1'] }),
      run('2026-01-02', { one: 'refused' }),
    ];
    expect(mergeOutcomes(runs, current)).toEqual([
      {
        suite: 'provider',
        provider: 'docker',
        capabilities: null,
        ranOn: ['kernel 1'],
        cases: [
          { name: 'one', outcome: 'refused', lacks: 'fork', at: '2026-01-02' },
          { name: 'two', outcome: 'passed', lacks: null, at: '2026-01-03' },
        ],
      },
    ]);
  });

  test('what was merged can be merged again', () => {
    const first = mergeOutcomes([run('2026-01-01', { one: 'passed', two: 'failed' })], current);
    expect(mergeOutcomes(first, current)).toEqual(first);
    const [second] = mergeOutcomes([run('2026-01-02', { two: 'passed' }), ...first], current);
    expect(second?.cases.map(({ outcome }) => outcome)).toEqual(['passed', 'passed']);
  });
});

test('the capabilities are the most that a suite was given', () => {
  const given = { pause: 'memory', network: ['none'] } as unknown as SuiteOutcome['capabilities'];
  const suites = { provider: ['one'], network: ['two'] };
  const runs = [run('2026-01-01', { one: 'passed' }, { capabilities: given }), run('2026-01-01', { two: 'passed' }, { suite: 'network', capabilities: { ...given!, network: ['none', 'full'] } })];
  expect(matrixPage(mergeOutcomes(runs, suites), suites)).toContain('| `network` | none, full |');
});

test('each state of a case has its word, and a column without a run says so', () => {
  const page = matrixPage(mergeOutcomes([run('2026-01-01', { one: 'passed', two: 'refused' })], current), current);
  const cells = (name: string) => page.split('\n').find((line) => line.startsWith(`| ${name} |`))?.slice(0, -' |'.length).split(' | ');
  expect(cells('one')).toContain('green');
  expect(cells('two')).toContain('refused: fork');
  expect(cells('three')?.slice(1).every((cell) => cell.startsWith('-'))).toBe(true);
  expect(cells('qemu')).toContain('not run');
  expect(cells('docker')).toContain('1 green, 1 refused');
  expect(matrixPage(mergeOutcomes([run('2026-01-01', { one: 'failed' })], current), current)).toContain('| **failed** |');
  const standIn = { ...run('2026-01-01', { one: 'passed', two: 'not on the contract' }), provider: 'firecracker/contract' };
  standIn.cases[1]!.lacks = 'a memory';
  const told = matrixPage(mergeOutcomes([standIn], current), current);
  expect(told).toContain('| firecracker (contract server) | 1 green, 0 refused | 1 not on the contract, 1 not run |');
  expect(told).toContain('| two | not on the contract: a memory |');
});

test("the cases are read from the suites' text, with what is escaped in it", () => {
  const cases = suiteCases();
  expect(cases['provider']).toContain('create returns what was asked for, and list and get agree');
  expect(cases['persistence']).toContain('all forks or none');
  for (const names of Object.values(cases)) expect(new Set(names).size).toBe(names.length);
});

test('the committed page is the one that the committed outcomes give, with a row for each case of today', () => {
  const cases = suiteCases();
  const page = readFileSync(pagePath, 'utf8');
  expect(page).toBe(matrixPage(mergeOutcomes(readOutcomes(committedDir), cases), cases));
  for (const name of Object.values(cases).flat()) expect(page).toContain(`| ${name.replaceAll('<', '&lt;')} |`);
});
