import type { Admission } from '../../protocol/api.ts';
import type { Dependencies } from '../dependencies.ts';
import type { StoreReads, TurnRecord } from '../ports/store.ts';
import { describeSubject } from '../quotas/subjects.ts';
import { noWait, type Place } from './queue-projection.ts';
import { viewQueue } from './queue-view.ts';

/** Where a turn stands now: its place among those that must wait, and how long that is expected to take. */
export async function admissionOf(
  deps: Pick<Dependencies, 'clock' | 'settings'>,
  reads: StoreReads,
  turn: TurnRecord,
): Promise<Admission> {
  const place = turn.state === 'queued' ? ((await viewQueue(deps, reads)).places.get(turn.id) ?? noWait) : noWait;
  const waitSeconds = toWaitSeconds(place.waitMs);
  return {
    sessionId: turn.sessionId,
    turnId: turn.id,
    status: turn.state,
    queuePosition: place.position,
    estimatedWaitSeconds: waitSeconds,
    message: describe(turn, place, waitSeconds),
    webhookOnReady: turn.webhookUrl,
  };
}

/** Whole seconds, never 0 for a wait. */
export function toWaitSeconds(waitMs: number): number {
  return Math.ceil(waitMs / 1000);
}

function describe(turn: TurnRecord, { position, away, quota }: Place, waitSeconds: number): string {
  switch (turn.state) {
    case 'queued':
      if (away !== null) return `waits for host ${away}, which is away`;
      if (turn.retryAt !== null) return `tried again after a failure, about ${waitSeconds} s to wait`;
      if (position === 0) return 'a sandbox is being made ready';
      if (quota !== null) {
        const full = `${describeSubject(quota)} has all of the ${quota.slots} slots that the quota allows`;
        return `queued at position ${position}, about ${waitSeconds} s to wait: ${full}`;
      }
      return `queued at position ${position}, about ${waitSeconds} s to wait`;
    case 'starting':
      return 'a sandbox is being made ready';
    case 'running':
      return 'the agent is at work';
    default:
      return `the turn has ${turn.state}`;
  }
}
