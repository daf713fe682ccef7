import type { CaseOutcome, SuiteOutcome } from '../../test/conformance/outcomes.ts';

/** Of one provider and suite: what the newest run says of each case. */
export interface MergedSuite {
  suite: string;
  provider: string;
  capabilities: SuiteOutcome['capabilities'];
  ranOn: string[];
  cases: MergedCase[];
}

export interface MergedCase extends CaseOutcome {
  at: string;
}

export type Outcomes = SuiteOutcome | MergedSuite;

/** Of several runs, also of parts of a suite, the newest word on each case that there still is; in the suite's order. */
export function mergeOutcomes(runs: readonly Outcomes[], current: Record<string, readonly string[]>): MergedSuite[] {
  const groups = Map.groupBy(runs, ({ suite, provider }) => `${provider}\0${suite}`);
  return [...groups.values()]
    .map((group): MergedSuite => {
      const byAge = group.toSorted((one, other) => (newestOf(one) < newestOf(other) ? -1 : 1));
      const { suite, provider } = byAge[0]!;
      const cases = new Map<string, MergedCase>();
      for (const merged of group.flatMap(casesOf)) {
        const known = cases.get(merged.name);
        if (known === undefined || known.at < merged.at) cases.set(merged.name, merged);
      }
      const last = <T>(pick: (run: Outcomes) => T | null | undefined) => byAge.map(pick).findLast((value) => value !== null && value !== undefined);
      return {
        suite,
        provider,
        capabilities: last((run) => run.capabilities) ?? null,
        ranOn: last(({ ranOn }) => (ranOn === undefined || ranOn.length === 0 ? null : ranOn)) ?? [],
        cases: (current[suite] ?? []).flatMap((name) => cases.get(name) ?? []),
      };
    })
    .filter(({ cases }) => cases.length > 0)
    .toSorted((one, other) => (fileNameOf(one) < fileNameOf(other) ? -1 : 1));
}

export function fileNameOf({ suite, provider }: Pick<MergedSuite, 'suite' | 'provider'>): string {
  return `${suite}-${provider.replaceAll('/', '-')}.json`;
}

export function newestOf(run: Outcomes): string {
  return casesOf(run).reduce((newest, { at }) => (at > newest ? at : newest), '');
}

function casesOf(run: Outcomes): MergedCase[] {
  return run.cases.map((each) => ({ ...each, at: 'at' in run ? run.at : (each as MergedCase).at }));
}
