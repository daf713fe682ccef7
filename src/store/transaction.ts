import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../core/ports/store.ts';
import type { Engine } from './engine.ts';
import { createReads } from './reads/index.ts';
import type { Database } from './schema.ts';
import { accessWrites } from './writes/access.ts';
import type { AuditWrites } from './writes/audit.ts';
import { deadLetterWrites } from './writes/dead-letters.ts';
import { egressWrites } from './writes/egress.ts';
import { eventWrites } from './writes/events.ts';
import { githubWrites } from './writes/github.ts';
import { hostWrites } from './writes/hosts.ts';
import { permissionWrites } from './writes/permissions.ts';
import { quotaWrites } from './writes/quotas.ts';
import { sandboxWrites } from './writes/sandboxes.ts';
import { secretWrites } from './writes/secrets.ts';
import { sessionWrites } from './writes/sessions.ts';
import { snapshotWrites } from './writes/snapshots.ts';
import { signInWrites } from './writes/sign-in.ts';
import { taskWrites } from './writes/tasks.ts';
import { turnWrites } from './writes/turns.ts';
import { keyWrites } from './writes/keys.ts';
import { usageWrites } from './writes/usage.ts';
import { userWrites } from './writes/users.ts';
import { webhookWrites } from './writes/webhooks.ts';

/** What the function given to `Store.transaction` sees, over an open database transaction. */
export function createTransaction(
  db: Kysely<Database>,
  engine: Engine,
  { appendAudit }: AuditWrites,
  onAppend: (sessionId: string, lastSeq: number) => void,
): StoreTransaction {
  return {
    ...createReads(db, engine),
    ...sessionWrites(db),
    ...turnWrites(db),
    ...deadLetterWrites(db),
    ...webhookWrites(db),
    ...eventWrites(db, engine, onAppend),
    ...egressWrites(db),
    ...secretWrites(db),
    ...permissionWrites(db),
    ...sandboxWrites(db),
    ...snapshotWrites(db),
    ...hostWrites(db, engine),
    ...accessWrites(db),
    ...userWrites(db),
    ...signInWrites(db),
    appendAudit,
    ...githubWrites(db),
    ...taskWrites(db),
    ...usageWrites(db),
    ...quotaWrites(db),
    ...keyWrites(db),
  };
}
