import { BerthError } from '../../protocol/errors.ts';
import type { Priority } from '../../protocol/api.ts';
import type { SessionRecord, StoreReads } from '../ports/store.ts';
import { priorities } from '../turns/turn-states.ts';
import { describeSubject, quotaOf, subjectsOf, type QuotaDefaults, type QuotaHolder } from './subjects.ts';

/**
 * Whether there is room for sessions that are about to be made; in the transaction that makes them, so that two at once
 * cannot both take the last place. Throws `quota_exceeded` naming the quota.
 */
export async function requireRoom(
  reads: Pick<StoreReads, 'quotas' | 'sessionTotals'>,
  defaults: QuotaDefaults,
  sessions: readonly Pick<SessionRecord, 'owner' | 'team' | 'limits'>[],
): Promise<void> {
  const [first] = sessions;
  if (first === undefined) return;
  const records = await reads.quotas();
  for (const subject of subjectsOf(first)) {
    const { sessions: most, diskBytes } = quotaOf(subject, records, defaults);
    if (most === undefined && diskBytes === undefined) continue;
    const had = await reads.sessionTotals(subject);
    const whose = describeSubject(subject);
    if (most !== undefined && had.sessions + sessions.length > most) {
      throw new BerthError('quota_exceeded', `${whose} may have ${most} sessions and has ${had.sessions}`, {
        context: { quota: 'sessions', subject, limit: most, used: had.sessions },
      });
    }
    const asked = sessions.reduce((sum, { limits }) => sum + limits.diskBytes, 0);
    if (diskBytes !== undefined && had.diskBytes + asked > diskBytes) {
      const message = `${whose} may have ${inGib(diskBytes)} of disk, has ${inGib(had.diskBytes)}, and ${inGib(asked)} more are asked for`;
      throw new BerthError('quota_exceeded', message, {
        field: 'limits.diskBytes',
        context: { quota: 'diskBytes', subject, limit: diskBytes, used: had.diskBytes },
      });
    }
  }
}

/** The priority of a turn: as asked for, else the default, lowered to what may be. Throws `quota_exceeded` for one asked for above it. */
export async function allowedPriority(
  reads: Pick<StoreReads, 'quotas'>,
  defaults: QuotaDefaults,
  holder: QuotaHolder,
  asked: Priority | undefined,
  byDefault: Priority,
): Promise<Priority> {
  const records = await reads.quotas();
  let allowed = asked ?? byDefault;
  for (const subject of subjectsOf(holder)) {
    const { priority: ceiling } = quotaOf(subject, records, defaults);
    if (ceiling === undefined || priorities[allowed] <= priorities[ceiling]) continue;
    if (asked !== undefined) {
      throw new BerthError('quota_exceeded', `turns of ${describeSubject(subject)} have at most the priority ${ceiling}`, {
        field: 'priority',
        context: { quota: 'priority', subject, limit: ceiling },
      });
    }
    allowed = ceiling;
  }
  return allowed;
}

function inGib(bytes: number): string {
  return `${Number((bytes / 1024 ** 3).toFixed(1))} GiB`;
}
