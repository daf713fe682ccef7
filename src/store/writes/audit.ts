import type { Kysely } from 'kysely';
import { boundedEntry } from '../../core/audit/bounded.ts';
import { hashEntry } from '../../core/audit/chain.ts';
import type { AuditRecord, NewAuditEntry, StoreTransaction } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Engine } from '../engine.ts';
import { auditColumns } from '../rows/audit.ts';
import type { Database } from '../schema.ts';

const columnsPerEntry = 9;

export interface AuditWrites extends Pick<StoreTransaction, 'appendAudit'> {
  /**
   * Links what was appended to the chain. The last that a transaction does: from here to its commit it holds the end of the
   * log, which every other transaction that appends waits for.
   */
  link(): Promise<void>;
}

export function auditWrites(db: Kysely<Database>, engine: Engine): AuditWrites {
  const appended: NewAuditEntry[] = [];
  return {
    async appendAudit(entries) {
      appended.push(...entries.map(boundedEntry));
    },

    async link() {
      if (appended.length === 0) return;
      const head = await db
        .selectFrom('audit_head')
        .select(['seq', 'hash'])
        .where('singleton', '=', 1)
        .$if(engine.rowLocks, (query) => query.forUpdate())
        .executeTakeFirst();
      if (head === undefined) throw new BerthError('internal', 'the record of where the audit log ends is gone');
      let { seq, hash } = head;
      const records = appended.map((entry): AuditRecord => {
        seq += 1;
        const unsealed = { ...entry, seq, prevHash: hash };
        hash = hashEntry(unsealed);
        return { ...unsealed, hash };
      });
      const perStatement = Math.floor(engine.maxParameters / columnsPerEntry);
      for (let start = 0; start < records.length; start += perStatement) {
        await db
          .insertInto('audit')
          .values(records.slice(start, start + perStatement).map(auditColumns))
          .execute();
      }
      await db.updateTable('audit_head').set({ seq, hash }).where('singleton', '=', 1).execute();
    },
  };
}
