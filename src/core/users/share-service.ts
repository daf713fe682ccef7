import type { Share, ShareRight } from '../../protocol/users-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { SessionShareRecord, ShareSubject, StoreTransaction } from '../ports/store.ts';
import type { UserServiceOptions } from './user-service.ts';

/** What of a session is shared with whom. `by` is who does it, for the audit log. */
export interface ShareService {
  list(sessionId: string): Promise<Share[]>;
  /** Takes the place of what the subject had. Throws `not_found` for a user or team that there is not. */
  set(sessionId: string, subject: ShareSubject, rights: readonly ShareRight[], by: string): Promise<Share>;
  /** What the subject has open of it ends at once. Throws `not_found` for one with whom it is not shared. */
  remove(sessionId: string, subject: ShareSubject, by: string): Promise<void>;
}

export function createShareService({ store, clock, narrowed }: UserServiceOptions): ShareService {
  return {
    list: async (sessionId) => (await store.read.sessionShares(sessionId)).map(viewShare),

    async set(sessionId, subject, asked, by) {
      const at = clock.now().toISOString();
      // Whoever may do something may look.
      const rights = [...new Set<ShareRight>(['view', ...asked])];
      const record: SessionShareRecord = { sessionId, subject, rights, by, createdAt: at };
      await store.transaction(async (tx) => {
        await requireSession(tx, sessionId);
        await requireSubject(tx, subject, rights);
        await tx.upsertSessionShare(record);
        const detail = { with: `${subject.kind}:${subject.name}`, rights };
        await tx.appendAudit([
          { at, actor: actorOf(by), action: 'session.shared', target: sessionId, sessionId, detail },
        ]);
      });
      narrowed();
      return viewShare(record);
    },

    async remove(sessionId, subject, by) {
      await store.transaction(async (tx) => {
        const shares = await tx.sessionShares(sessionId);
        const isShared = shares.some((share) => share.subject.kind === subject.kind && share.subject.name === subject.name);
        if (!isShared) {
          const message = `it is not shared with the ${subject.kind} ${subject.name}`;
          throw new BerthError('not_found', message, { field: 'name' });
        }
        await tx.deleteSessionShare(sessionId, subject);
        const at = clock.now().toISOString();
        const detail = { with: `${subject.kind}:${subject.name}` };
        await tx.appendAudit([
          { at, actor: actorOf(by), action: 'session.unshared', target: sessionId, sessionId, detail },
        ]);
      });
      narrowed();
    },
  };
}

async function requireSession(tx: StoreTransaction, id: string): Promise<void> {
  const session = await tx.session(id);
  if (session === null || session.deletingAt !== null) {
    throw new BerthError('not_found', `there is no session ${id}`, { field: 'id' });
  }
}

async function requireSubject(
  tx: StoreTransaction,
  { kind, name }: ShareSubject,
  rights: readonly ShareRight[],
): Promise<void> {
  const subject = kind === 'user' ? await tx.user(name) : await tx.team(name);
  if (subject === null) throw new BerthError('not_found', `there is no ${kind} ${name}`, { field: 'name' });
  // It would say more than is given.
  if ('role' in subject && subject.role === 'viewer' && rights.some((right) => right !== 'view')) {
    throw new BerthError('conflict', `${name} is a viewer of this installation and only ever looks`, { field: 'rights' });
  }
}

function viewShare({ subject, rights, by, createdAt }: SessionShareRecord): Share {
  return { subject, rights, by, createdAt };
}
