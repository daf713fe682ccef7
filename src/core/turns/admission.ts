import type { Admission } from '../../protocol/api.ts';
import type { StoreReads, TurnRecord } from '../ports/store.ts';

/** Used until turns have been measured. */
const assumedTurnSeconds = 120;
const measuredTurns = 20;

/** Where a turn stands: its place among those that wait, and how long that takes by the turns that ended lately. */
export async function admissionOf(reads: StoreReads, turn: TurnRecord, slots: number): Promise<Admission> {
  const position = turn.state === 'queued' ? await queuePosition(reads, turn.id) : 0;
  const estimatedWaitSeconds = position === 0 ? 0 : Math.round((position / slots) * (await meanTurnSeconds(reads)));
  return {
    sessionId: turn.sessionId,
    turnId: turn.id,
    status: turn.state,
    queuePosition: position,
    estimatedWaitSeconds,
    message: describe(turn, position, estimatedWaitSeconds),
    webhookOnReady: turn.webhookUrl,
  };
}

export async function queuePosition(reads: StoreReads, turnId: string): Promise<number> {
  const queued = await reads.turnsInState(['queued']);
  return queued.findIndex((turn) => turn.id === turnId) + 1;
}

async function meanTurnSeconds(reads: StoreReads): Promise<number> {
  const ended = (await reads.turnsInState(['completed'])).slice(-measuredTurns);
  const seconds = ended.flatMap((turn) =>
    turn.startedAt === null || turn.endedAt === null ? [] : [(Date.parse(turn.endedAt) - Date.parse(turn.startedAt)) / 1000],
  );
  if (seconds.length === 0) return assumedTurnSeconds;
  return seconds.reduce((sum, each) => sum + each, 0) / seconds.length;
}

function describe(turn: TurnRecord, position: number, waitSeconds: number): string {
  switch (turn.state) {
    case 'queued':
      return `queued at position ${position}, about ${waitSeconds} s to wait`;
    case 'starting':
      return 'a sandbox is being made ready';
    case 'running':
      return 'the agent is at work';
    default:
      return `the turn has ${turn.state}`;
  }
}
