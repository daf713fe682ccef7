import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Finding, SandboxCapabilities } from '../../src/core/ports/sandbox-provider.ts';

/** Where the suites leave what came out, a file for each suite, provider and run; `scripts/provider-matrix.ts` makes a table of them. */
export const outcomesDir: string = resolve(import.meta.dirname, '../../.cache/provider-outcomes');

export interface SuiteOutcome {
  suite: string;
  /** As the driver's test names it: `oci`, `oci/gVisor`, `docker`. */
  provider: string;
  capabilities: SandboxCapabilities | null;
  /** What it ran on, in words; absent from runs that did not say. */
  ranOn?: string[];
  at: string;
  cases: CaseOutcome[];
}

export interface CaseOutcome {
  name: string;
  /**
   * `refused`: it lacks what the case is about, says so, and refuses it where that was asked. `not on the contract`: what it ran on
   * stands in for the backend, and the case would say something of the stand-in alone.
   */
  outcome: 'passed' | 'refused' | 'failed' | 'skipped' | 'not on the contract';
  /** What it lacks, or what of the backend the stand-in is not. */
  lacks: string | null;
}

/** Cases that mean nothing on a stand-in, by name: what of the backend each is about that it does not have. Declared before anything runs. */
export type NotOnContract = Readonly<Record<string, string>>;
export type DefineCase = (name: string, run: () => unknown) => void;

/** What a suite defines its cases with. */
export function casesOn(contract: NotOnContract): DefineCase {
  return (name, run) => {
    const lacks = contract[name];
    if (lacks === undefined) test(name, async () => void (await run()));
    // Skipped when its turn comes, and not before: the suite's hooks run for it, and tell of it.
    else
      test(name, ({ skip }) => {
        noteLack(lacks);
        skip(`not on the contract: ${lacks}`);
      });
  };
}

/** By the whole name of a case: what it is about and the provider does not declare. */
const lacking = new Map<string, string>();

export function noteLack(capability: string): void {
  lacking.set(expect.getState().currentTestName ?? '', capability);
}

/** The suite may be within other groups. */
function lackOf(name: string): string | null {
  return [...lacking].find(([whole]) => whole === name || whole.endsWith(` > ${name}`))?.[1] ?? null;
}

/** To be called in the suite's `describe`. A run of some of the cases alone tells of these. */
export function recordOutcomes(
  suite: string,
  provider: string,
  capabilities: () => SandboxCapabilities | null,
  findings: () => readonly Finding[] = () => [],
  contract: NotOnContract = {},
): void {
  // oxlint-disable-next-line no-empty-pattern -- Vitest reads this parameter's text, and takes no other for none
  afterAll(async ({}, { name: group, tasks }) => {
    const unknown = Object.keys(contract).filter((name) => !tasks.some((task) => task.name === name));
    if (unknown.length > 0) throw new Error(`there is no such case: ${unknown.join('; ')}`);
    const told = tasks.map((task) => ({ ...task, lacks: lackOf(`${group} > ${task.name}`) })).filter(({ mode, lacks }) => mode !== 'skip' || lacks !== null);
    if (told.length === 0) return;
    const cases = told.map(({ name, result, lacks }): CaseOutcome => {
      if (Object.hasOwn(contract, name)) return { name, outcome: 'not on the contract', lacks };
      if (result?.state === 'pass') return { name, outcome: lacks === null ? 'passed' : 'refused', lacks };
      return { name, outcome: result?.state === 'fail' ? 'failed' : 'skipped', lacks };
    });
    const at = new Date().toISOString();
    const outcome: SuiteOutcome = { suite, provider, capabilities: capabilities(), ranOn: Object.keys(contract).length === 0 ? ranOn(findings()) : ['no hardware'], at, cases };
    await mkdir(outcomesDir, { recursive: true });
    const file = `${suite}-${provider}-${at}`.replaceAll(/[^A-Za-z0-9.-]+/g, '-');
    await writeFile(join(outcomesDir, `${file}.json`), `${JSON.stringify(outcome, null, 2)}\n`);
  });
}

/** By a finding's subject: the part of it that is a version or a kind, and not of this machine alone. */
const told: Record<string, (finding: Finding) => string | undefined> = {
  machine: ({ detected }) => /kernel \S+/.exec(detected)?.[0],
  runtime: ({ choice }) => choice.split(':')[0],
  cgroups: ({ detected }) => `cgroups ${detected.split(',')[0]}`,
  'container engine': ({ detected }) => detected.split(' at ')[0],
  qemu: ({ detected }) => /version (\S+)/.exec(detected)?.[1]?.replace(/^/, 'QEMU '),
  firecracker: ({ detected }) => /\d+\.\d+\.\d+/.exec(detected)?.[0].replace(/^/, 'Firecracker '),
  'guest kernel': ({ detected }) => `guest kernel ${detected}`,
  acceleration: ({ choice }) => (choice.startsWith('KVM') ? 'KVM' : 'TCG'),
};

function ranOn(findings: readonly Finding[]): string[] {
  return findings.map((finding) => told[finding.subject]?.(finding)).filter((text) => text !== undefined);
}
