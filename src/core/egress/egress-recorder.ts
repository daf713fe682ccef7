import type { Clock } from '../ports/clock.ts';
import type { EgressControl } from '../ports/egress.ts';
import type { Logger } from '../ports/logger.ts';
import type { EgressDecisionRecord, NewEvent, Store } from '../ports/store.ts';

export interface EgressRecorder {
  record: EgressControl['record'];
  /** Resolves when all that was recorded before is stored. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const flushMs = 1000;
/** Different hosts and ports that are kept for one session: a scan must not fill the database. */
const maxKeptPerSession = 500;
/** Refusals that are told in the session's log; the rest are counted only. */
const maxToldPerSession = 50;

/**
 * Keeps what was decided, one row per session, host, port and answer, with a count. Repeats wait up to a second and
 * are written together, so that a loop in a sandbox costs the database one write a second. The first refusal of a host
 * is also an event of the session, so that a person can see what the agent misses.
 */
export function createEgressRecorder({ store, clock, logger }: { store: Store; clock: Clock; logger: Logger }): EgressRecorder {
  let pending = new Map<string, EgressDecisionRecord>();
  let timer: AbortController | null = null;
  let tail: Promise<void> = Promise.resolve();

  async function write(records: readonly EgressDecisionRecord[]): Promise<void> {
    const bySession = Map.groupBy(records, (record) => record.sessionId);
    for (const [sessionId, own] of bySession) {
      await store.transaction(async (tx) => {
        if ((await tx.session(sessionId)) === null) return;
        const kept = await tx.egressDecisions(sessionId, maxKeptPerSession);
        const known = new Set(kept.map(keyOf));
        let [count, told] = [kept.length, kept.filter((each) => !each.allowed).length];
        const events: NewEvent[] = [];
        for (const record of own) {
          if (!known.has(keyOf(record))) {
            if (count >= maxKeptPerSession) continue;
            count += 1;
            if (!record.allowed && (told += 1) <= maxToldPerSession) {
              const { host, port, reason } = record;
              events.push({ at: record.firstAt, turnId: null, type: 'egress.denied', data: { host, port, reason } });
            }
          }
          await tx.addEgressDecision(record);
        }
        if (events.length > 0) await tx.appendEvents(sessionId, events);
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
