import { setTimeout as sleep } from 'node:timers/promises';

/** One way of doing the thing that is compared. */
export interface Contender {
  name: string;
  /** Does it once and resolves to how long it took; preparing and clearing up are not counted. */
  measureMs: () => Promise<number>;
}

/** What one contender took, round by round. */
export interface Sample {
  timesMs: readonly number[];
  medianMs: number;
  p90Ms: number;
}

export interface Rounds {
  /** Done before and not counted: caches fill, code is compiled. */
  warmUp: number;
  rounds: number;
  /** Before each measurement, so that what the kernel takes away behind the one before (namespaces, mounts) does not fall on it. */
  pauseMs: number;
}

/**
 * Measures contenders in turn, one of each per round and every second round backwards, so that what else
 * the machine does falls on all of them alike. Never two at a time.
 */
export async function compare(
  contenders: readonly Contender[],
  { warmUp, rounds, pauseMs }: Rounds,
): Promise<Map<string, Sample>> {
  const timesMs = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const { name, measureMs } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      await sleep(pauseMs);
      const tookMs = await measureMs();
      if (round >= 0) timesMs.get(name)!.push(tookMs);
    }
  }
  return new Map([...timesMs].map(([name, times]) => [name, sampleOf(times)]));
}

/** Something and what undoes it, each timed. */
export interface Pair {
  name: string;
  first: () => Promise<unknown>;
  second: () => Promise<unknown>;
}

/** As `compare`, of both halves. */
export async function comparePairs(
  pairs: readonly Pair[],
  rounds: Rounds,
): Promise<{ first: Map<string, Sample>; second: Map<string, Sample> }> {
  const seconds = new Map(pairs.map(({ name }) => [name, [] as number[]]));
  const contenders = pairs.map(({ name, first, second }) => ({
    name,
    async measureMs() {
      const tookMs = await timed(first);
      seconds.get(name)!.push(await timed(second));
      return tookMs;
    },
  }));
  const first = await compare(contenders, rounds);
  return { first, second: new Map([...seconds].map(([name, times]) => [name, sampleOf(times.slice(-rounds.rounds))])) };
}

export function sampleOf(timesMs: readonly number[]): Sample {
  return { timesMs, medianMs: quantile(timesMs, 0.5), p90Ms: quantile(timesMs, 0.9) };
}

/** Of the same round with each other, and of those the median: a load that comes and goes falls out. */
export function ratioOf(one: Sample, other: Sample): number {
  return quantile(
    one.timesMs.map((timeMs, round) => timeMs / other.timesMs[round]!),
    0.5,
  );
}

/** Between neighbours, linearly. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (below === undefined || above === undefined) throw new Error('nothing was measured');
  return below + (above - below) * (at - Math.floor(at));
}

export async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await run();
  return performance.now() - startedMs;
}
