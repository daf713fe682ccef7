import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { SandboxCapabilities } from '../../src/core/ports/sandbox-provider.ts';

/** Where the suites leave what came out, one file for each suite and provider; what is made of them is made from these. */
export const outcomesDir: string = resolve(import.meta.dirname, '../../.cache/provider-outcomes');

export interface SuiteOutcome {
  suite: string;
  /** As the driver's test names it: `oci`, `oci/gVisor`, `docker`. */
  provider: string;
  capabilities: SandboxCapabilities | null;
  at: string;
  cases: CaseOutcome[];
}

export interface CaseOutcome {
  name: string;
  /** `refused`: it lacks what the case is about, says so, and refuses it where that was asked. */
  outcome: 'passed' | 'refused' | 'failed' | 'skipped';
  /** What it lacks. */
  lacks: string | null;
}

/** By the whole name of a case: what it is about and the provider does not declare. */
const lacking = new Map<string, string>();

export function noteLack(capability: string): void {
  lacking.set(expect.getState().currentTestName ?? '', capability);
}

/** To be called in the suite's `describe`. A run of some of the cases alone leaves nothing. */
export function recordOutcomes(suite: string, provider: string, capabilities: () => SandboxCapabilities | null): void {
  // oxlint-disable-next-line no-empty-pattern -- Vitest reads this parameter's text, and takes no other for none
  afterAll(async ({}, { name: group, tasks }) => {
    if (tasks.some(({ mode }) => mode === 'skip')) return;
    const cases = tasks.map(({ name, result }): CaseOutcome => {
      const lacks = lacking.get(`${group} > ${name}`) ?? null;
      if (result?.state === 'pass') return { name, outcome: lacks === null ? 'passed' : 'refused', lacks };
      return { name, outcome: result?.state === 'fail' ? 'failed' : 'skipped', lacks };
    });
    const outcome: SuiteOutcome = { suite, provider, capabilities: capabilities(), at: new Date().toISOString(), cases };
    await mkdir(outcomesDir, { recursive: true });
    const file = `${suite}-${provider}`.replaceAll(/[^A-Za-z0-9.-]+/g, '-');
    await writeFile(join(outcomesDir, `${file}.json`), `${JSON.stringify(outcome, null, 2)}\n`);
  });
}
