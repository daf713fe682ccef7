import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import type { Engine } from '../engine.ts';
import type { Database } from '../schema.ts';
import { accessReads } from './access.ts';
import { auditReads } from './audit.ts';
import { deadLetterReads } from './dead-letters.ts';
import { egressReads } from './egress.ts';
import { eventReads } from './events.ts';
import { githubReads } from './github.ts';
import { hostReads } from './hosts.ts';
import { permissionReads } from './permissions.ts';
import { queueReads } from './queue.ts';
import { quotaReads } from './quotas.ts';
import { sandboxReads } from './sandboxes.ts';
import { secretReads } from './secrets.ts';
import { sessionReads } from './sessions.ts';
import { snapshotReads } from './snapshots.ts';
import { signInReads } from './sign-in.ts';
import { taskReads } from './tasks.ts';
import { turnReads } from './turns.ts';
import { keyReads } from './keys.ts';
import { usageReads } from './usage.ts';
import { userReads } from './users.ts';
import { webhookReads } from './webhooks.ts';

/** All reads, over a connection or inside a transaction. Each is one statement, so consistent by itself. */
export function createReads(db: Kysely<Database>, engine: Engine): StoreReads {
  return {
    ...sessionReads(db),
    ...turnReads(db),
    ...queueReads(db),
    ...deadLetterReads(db),
    ...webhookReads(db),
    ...egressReads(db),
    ...secretReads(db),
    ...eventReads(db),
    ...permissionReads(db),
    ...sandboxReads(db),
    ...snapshotReads(db),
    ...hostReads(db, engine),
    ...accessReads(db),
    ...userReads(db),
    ...signInReads(db),
    ...auditReads(db),
    ...githubReads(db),
    ...taskReads(db),
    ...usageReads(db),
    ...quotaReads(db),
    ...keyReads(db),
  };
}
