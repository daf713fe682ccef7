import type { AuditEntry, AuditPage, AuditVerdict } from '../../protocol/audit.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { AuditFilter, NewAuditEntry, Store } from '../ports/store.ts';
import { actorOf } from './actor.ts';
import { verifyAudit } from './verify-audit.ts';

/**
 * The audit log as a whole. What changes the store is recorded by the transaction of the change
 * (`StoreTransaction.appendAudit`); `record` is for what happens elsewhere.
 */
export interface AuditService {
  /**
   * Records what `by` is about to do in a sandbox, before it is done: what cannot be recorded is not done. It may still fail.
   */
  record(by: string, entry: Omit<NewAuditEntry, 'at' | 'actor'>): Promise<void>;
  list(filter: Omit<AuditFilter, 'order' | 'after'>): Promise<AuditPage>;
  /** All that matches, oldest first, in pages: it can be of any length. */
  export(filter: Omit<AuditFilter, 'order' | 'limit' | 'before'>, signal: AbortSignal): AsyncGenerator<AuditEntry>;
  /** Throws `timeout` when the log is too long for one look. */
  verify(expectedHead: string | null, signal: AbortSignal): Promise<AuditVerdict>;
}

const exportPage = 500;

export function createAuditService({ store, clock }: { store: Store; clock: Clock }): AuditService {
  return {
    record: (by, entry) =>
      store.transaction((tx) => tx.appendAudit([{ ...entry, at: clock.now().toISOString(), actor: actorOf(by) }])),
    async list(filter) {
      const found = await store.read.audit({ ...filter, order: 'newest', limit: filter.limit + 1 });
      const entries = found.slice(0, filter.limit);
      return { entries, next: found.length > filter.limit ? entries.at(-1)!.seq : null };
    },
    async *export(filter, signal) {
      for (let after = filter.after ?? 0; ;) {
        signal.throwIfAborted();
        const page = await store.read.audit({ ...filter, after, order: 'oldest', limit: exportPage });
        yield* page;
        const last = page.at(-1);
        if (last === undefined || page.length < exportPage) return;
        after = last.seq;
      }
    },
    async verify(expectedHead, signal) {
      try {
        return await verifyAudit(store.read, expectedHead, signal);
      } catch (cause) {
        if (!signal.aborted) throw cause;
        throw new BerthError('timeout', 'the audit log could not be read to its end in time', { cause });
      }
    },
  };
}
