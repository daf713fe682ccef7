import type { Admission } from '../../protocol/api.ts';
import type { StoreReads, TurnRecord } from '../ports/store.ts';
import { activeTurnStates } from './turn-states.ts';

/** Used until turns have been measured. */
const assumedTurnSeconds = 120;
const measuredTurns = 20;

/** Where a turn stands: its place among those that must wait, and how long that takes by the turns that ended lately. */
export async function admissionOf(reads: StoreReads, turn: TurnRecord, slots: number): Promise<Admission> {
  const position = turn.state === 'queued' ? await queuePosition(reads, turn.id, slots) : 0;
  const estimatedWaitSeconds = position === 0 ? 0 : Math.ceil((position / slots) * (await meanTurnSeconds(reads)));
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

/** 0 when nothing stands in its way: a slot is free or idle, and its session has no earlier turn. */
async function queuePosition(reads: StoreReads, turnId: string, slots: number): Promise<number> {
  const active = await reads.turnsInState(activeTurnStates);
  const busySessions = new Set(active.map((turn) => turn.sessionId));
  let free = Math.max(0, slots - active.length);
  let position = 0;
  for (const turn of await reads.turnsInState(['queued'])) {
    const waits = busySessions.has(turn.sessionId) || free === 0;
    if (waits) position += 1;
    else free -= 1;
    busySessions.add(turn.sessionId);
    if (turn.id === turnId) return waits ? position : 0;
  }
  return 0;
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
      if (position === 0) return 'a sandbox is being made ready';
      return `queued at position ${position}, about ${waitSeconds} s to wait`;
    case 'starting':
      return 'a sandbox is being made ready';
    case 'running':
      return 'the agent is at work';
    default:
      return `the turn has ${turn.state}`;
  }
}
