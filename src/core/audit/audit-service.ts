import type { AuditEntry, AuditPage, AuditVerdict } from '../../protocol/audit.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AuditFilter, Store } from '../ports/store.ts';
import { verifyAudit } from './verify-audit.ts';

/** Reads of the audit log; it is written by the transactions of what it tells (`StoreTransaction.appendAudit`). */
export interface AuditService {
  list(filter: Omit<AuditFilter, 'order' | 'after'>): Promise<AuditPage>;
  /** All that matches, oldest first, in pages: it can be of any length. */
  export(filter: Omit<AuditFilter, 'order' | 'limit' | 'before'>, signal: AbortSignal): AsyncGenerator<AuditEntry>;
  /** Throws `timeout` when the log is too long for one look. */
  verify(expectedHead: string | null, signal: AbortSignal): Promise<AuditVerdict>;
}

const exportPage = 500;

export function createAuditService(store: Pick<Store, 'read'>): AuditService {
  return {
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
