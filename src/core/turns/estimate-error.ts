import type { QueueTurn } from '../ports/store.ts';

export interface EstimateError {
  meanAbsoluteErrorSeconds: number | null;
  count: number;
}

/** Where nobody waited and nobody was told to, there was no estimate to be right or wrong. */
const noticeableMs = 1000;

/** How far what was said at admission was from the wait that came, over turns that got their slot. */
export function estimateError(turns: readonly QueueTurn[]): EstimateError {
  const errorsMs: number[] = [];
  for (const turn of turns) {
    // A turn that was tried again waited for more than its slot.
    if (turn.claimedAt === null || turn.estimatedWaitMs === null || turn.attempts > 1) continue;
    const waitedMs = Math.max(0, Date.parse(turn.claimedAt) - Date.parse(turn.createdAt));
    if (turn.estimatedWaitMs < noticeableMs && waitedMs < noticeableMs) continue;
    errorsMs.push(Math.abs(waitedMs - turn.estimatedWaitMs));
  }
  const sum = errorsMs.reduce((total, each) => total + each, 0);
  return {
    meanAbsoluteErrorSeconds: errorsMs.length === 0 ? null : Math.round(sum / errorsMs.length) / 1000,
    count: errorsMs.length,
  };
}
