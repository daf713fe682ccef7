import { sessionActor } from '../audit/actor.ts';
import { isTold } from '../audit/told-counts.ts';
import type { Clock } from '../ports/clock.ts';
import type { EgressControl } from '../ports/egress.ts';
import type { Logger } from '../ports/logger.ts';
import type { EgressDecisionRecord, NewAuditEntry, NewEvent, Store } from '../ports/store.ts';

export interface EgressRecorder {
  record: EgressControl['record'];
  /** Resolves when all that was recorded before is stored. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const flushMs = 1000;
/**
 * Different hosts and ports that are kept for one session, of those it reached and of those it did not: a scan must not fill
 * the database, nor leave no room for what it then reaches.
 */
const maxKeptPerAnswer = 300;
/** Refusals that are told in the session's log; the rest are counted only. */
const maxToldPerSession = 50;

/**
 * Keeps what was decided, one row per session, host, port and answer, with a count. Repeats wait up to a second and
 * are written together, so that a loop in a sandbox costs the database one write a second. The first refusal of a host
 * is also an event of the session, so that a person can see what the agent misses. The audit log has each when it is first
 * seen and when its count reaches a power of ten.
 */
export function createEgressRecorder({ store, clock, logger }: { store: Store; clock: Clock; logger: Logger }): EgressRecorder {
  const unkept = createUnkeptCounts();
  let pending = new Map<string, EgressDecisionRecord>();
  let timer: AbortController | null = null;
  let tail: Promise<void> = Promise.resolve();

  async function write(records: readonly EgressDecisionRecord[]): Promise<void> {
    const bySession = Map.groupBy(records, (record) => record.sessionId);
    for (const [sessionId, own] of bySession) {
      await store.transaction(async (tx) => {
        if ((await tx.session(sessionId)) === null) return;
        const kept = await tx.egressDecisions(sessionId, 2 * maxKeptPerAnswer);
        const known = new Map(kept.map((each) => [keyOf(each), each.count]));
        const room = { allowed: maxKeptPerAnswer, denied: maxKeptPerAnswer };
        for (const { allowed } of kept) room[answerOf(allowed)] -= 1;
        const events: NewEvent[] = [];
        const audit: NewAuditEntry[] = [];
        for (const record of own) {
          const answer = answerOf(record.allowed);
          const before = known.get(keyOf(record)) ?? 0;
          if (before === 0) {
            if (room[answer] <= 0) {
              audit.push(...unkept.count(record));
              continue;
            }
            room[answer] -= 1;
            if (!record.allowed && maxKeptPerAnswer - room.denied <= maxToldPerSession) {
              const { host, port, reason } = record;
              events.push({ at: record.firstAt, turnId: null, type: 'egress.denied', data: { host, port, reason } });
            }
          }
          if (isTold(before, before + record.count)) audit.push(tellDecision(record, before + record.count));
          await tx.addEgressDecision(record);
        }
        if (events.length > 0) await tx.appendEvents(sessionId, events);
        await tx.appendAudit(audit);
      });
    }
  }

  function flush(): Promise<void> {
    timer?.abort();
    timer = null;
    const records = [...pending.values()];
    pending = new Map();
    if (records.length > 0) {
      tail = tail
        .then(() => write(records))
        .catch((error: unknown) => logger.error({ err: error, lost: records.length }, 'egress decisions could not be stored'));
    }
    return tail;
  }

  return {
    record(sessionId, { host, port }, { allowed, reason }) {
      const at = clock.now().toISOString();
      const record = { sessionId, host, port, allowed, reason, count: 1, firstAt: at, lastAt: at };
      const before = pending.get(keyOf(record));
      if (before === undefined) pending.set(keyOf(record), record);
      else Object.assign(before, { reason, count: before.count + 1, lastAt: at });
      if (timer !== null) return;
      timer = new AbortController();
      void clock.sleep(flushMs, timer.signal).then(flush, () => {});
    },
    flush,
    close: flush,
  };
}

function keyOf({ sessionId, host, port, allowed }: EgressDecisionRecord): string {
  return JSON.stringify([sessionId, host, port, allowed]);
}

function answerOf(allowed: boolean): 'allowed' | 'denied' {
  return allowed ? 'allowed' : 'denied';
}

function tellDecision({ sessionId, host, port, allowed, reason, lastAt }: EgressDecisionRecord, count: number): NewAuditEntry {
  return {
    at: lastAt,
    actor: sessionActor(sessionId),
    action: `egress.${answerOf(allowed)}`,
    target: `${host}:${port}`,
    sessionId,
    detail: { reason, count },
  };
}

/** Sessions whose unkept decisions are counted at once; the oldest is forgotten, and begins to be told anew. */
const maxCounted = 1000;

/** Counts, in this process, the decisions about hosts for which there is no room; the audit log has the last of each power of ten. */
function createUnkeptCounts(): { count(record: EgressDecisionRecord): NewAuditEntry[] } {
  const counts = new Map<string, number>();
  return {
    count(record) {
      const key = JSON.stringify([record.sessionId, record.allowed]);
      const before = counts.get(key) ?? 0;
      const after = before + record.count;
      counts.delete(key);
      counts.set(key, after);
      if (counts.size > maxCounted) counts.delete(counts.keys().next().value!);
      if (!isTold(before, after)) return [];
      const entry = tellDecision(record, after);
      return [{ ...entry, target: null, detail: { ...entry.detail, reason: 'more hosts than are kept', last: entry.target } }];
    },
  };
}
