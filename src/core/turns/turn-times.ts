import type { QueueTurn } from '../ports/store.ts';

/** How long turns hold a slot, by those that ended lately. */
export interface TurnTimes {
  /** Of a turn that has not begun. */
  expectedMs(agent: string): number;
  /** What is left of one that has held its slot for `elapsedMs`. */
  remainingMs(agent: string, elapsedMs: number): number;
}

/** Used until a turn has been measured. */
const assumedTurnMs = 120_000;
/** Of each agent; older ones tell of another repository or another model. */
const samplesPerAgent = 30;

/** `turns` newest first. An agent that has not been measured takes as long as the others. */
export function createTurnTimes(turns: readonly QueueTurn[]): TurnTimes {
  const all: number[] = [];
  const byAgent = new Map<string, number[]>();
  for (const turn of turns) {
    if (turn.claimedAt === null || turn.endedAt === null || turn.state !== 'completed') continue;
    const ms = Math.max(0, Date.parse(turn.endedAt) - Date.parse(turn.claimedAt));
    const own = byAgent.get(turn.agent) ?? [];
    byAgent.set(turn.agent, own);
    if (own.length < samplesPerAgent) own.push(ms);
    if (all.length < samplesPerAgent) all.push(ms);
  }
  const samplesOf = (agent: string) => byAgent.get(agent) ?? all;

  return {
    expectedMs: (agent) => mean(samplesOf(agent)) ?? assumedTurnMs,
    remainingMs(agent, elapsedMs) {
      const samples = samplesOf(agent);
      if (samples.length === 0) return Math.max(assumedTurnMs - elapsedMs, elapsedMs / 2);
      // Of those that were not over by now either. One that has outlasted all of them may take half as long again.
      return mean(samples.filter((ms) => ms > elapsedMs).map((ms) => ms - elapsedMs)) ?? elapsedMs / 2;
    },
  };
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, each) => sum + each, 0) / values.length;
}
