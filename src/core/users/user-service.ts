import type { AddUserRequest, ChangeUserRequest } from '../../protocol/users-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store, StoreTransaction, TokenRecord, UserRecord } from '../ports/store.ts';
import { localOwner } from './local-owner.ts';
import { issueBrowserToken } from './browser-token.ts';

/** The accounts. `by` is who does it, for the audit log. */
export interface UserService {
  /** By handle. */
  list(): Promise<UserRecord[]>;
  /** Throws `not_found`. */
  get(handle: string): Promise<UserRecord>;
  /** Throws `conflict` for a handle that is taken. */
  add(request: AddUserRequest, by: string): Promise<UserRecord>;
  /** Throws `conflict` when no owner would be left. Who is disabled loses what he has open at once. */
  change(handle: string, request: ChangeUserRequest, by: string): Promise<UserRecord>;
  /** Throws `conflict` for the last owner, the machine's own user, and for one who has sessions or snapshots. */
  remove(handle: string, by: string): Promise<void>;
  /** A token that nobody is told, for a link that signs a browser in as the user. */
  issueSignIn(handle: string, by: string): Promise<TokenRecord>;
}

export interface UserServiceOptions {
  store: Store;
  clock: Clock;
  /** Called after somebody may do less than before. */
  narrowed: () => void;
}

export function createUserService({ store, clock, narrowed }: UserServiceOptions): UserService {
  const now = () => clock.now().toISOString();

  async function requireUser(reads: Pick<Store['read'], 'user'>, handle: string): Promise<UserRecord> {
    const user = await reads.user(handle);
    if (user === null) throw new BerthError('not_found', `there is no user ${handle}`, { field: 'handle' });
    return user;
  }

  return {
    list: () => store.read.users(),
    get: (handle) => requireUser(store.read, handle),

    add: ({ handle, displayName = handle, role }, by) =>
      store.transaction(async (tx) => {
        if ((await tx.user(handle)) !== null) {
          throw new BerthError('conflict', `there is a user ${handle}`, { field: 'handle' });
        }
        const record: UserRecord = { handle, displayName, role, disabledAt: null, createdAt: now() };
        await tx.insertUser(record);
        await tell(tx, by, now(), 'user.added', handle, { role });
        return record;
      }),

    async change(handle, { displayName, role, disabled }, by) {
      const changed = await store.transaction(async (tx) => {
        const before = await requireUser(tx, handle);
        const disabledAt = disabled === true ? (before.disabledAt ?? now()) : null;
        const change = {
          ...(displayName === undefined ? {} : { displayName }),
          ...(role === undefined ? {} : { role }),
          ...(disabled === undefined ? {} : { disabledAt }),
        };
        const after = { ...before, ...change };
        if (!isOwner(after)) await requireOtherOwner(tx, handle);
        await tx.updateUser(handle, change);
        await tell(tx, by, now(), 'user.changed', handle, {
          ...(role === undefined ? {} : { role }),
          ...(disabled === undefined ? {} : { disabled }),
          fields: Object.keys(change),
        });
        return after;
      });
      narrowed();
      return changed;
    },

    async remove(handle, by) {
      await store.transaction(async (tx) => {
        await requireUser(tx, handle);
        if (handle === localOwner) {
          throw new BerthError('conflict', `${handle} is the machine's own user; it can be disabled`, { field: 'handle' });
        }
        await requireOtherOwner(tx, handle);
        const sessions = await tx.sessions({ owner: handle, limit: 1 });
        const snapshots = await tx.snapshots({ owner: handle });
        if (sessions.length + snapshots.length > 0) {
          const message = `${handle} has sessions or snapshots; delete those first, or disable the user`;
          throw new BerthError('conflict', message, { field: 'handle' });
        }
        // The handle may be given to somebody else.
        for (const { id, revokedAt } of await tx.tokens(handle)) {
          if (revokedAt === null) await tx.updateToken(id, { revokedAt: now() });
        }
        await tx.deleteUser(handle);
        await tell(tx, by, now(), 'user.removed', handle, {});
      });
      narrowed();
    },

    issueSignIn: (handle, by) =>
      store.transaction(async (tx) => {
        const user = await requireUser(tx, handle);
        if (user.disabledAt !== null) {
          throw new BerthError('conflict', `${handle} is disabled`, { field: 'handle' });
        }
        const record = await issueBrowserToken(tx, handle, 'sign-in link', clock.now());
        await tell(tx, by, now(), 'signin.link_created', handle, { token: record.id });
        return record;
      }),
  };
}

function isOwner({ role, disabledAt }: UserRecord): boolean {
  return role === 'owner' && disabledAt === null;
}

/** Somebody must be left who can let others in. */
async function requireOtherOwner(tx: StoreTransaction, handle: string): Promise<void> {
  if ((await tx.users()).some((user) => user.handle !== handle && isOwner(user))) return;
  throw new BerthError('conflict', `${handle} is the last owner of the installation`, { field: 'handle' });
}

async function tell(
  tx: StoreTransaction,
  by: string,
  at: string,
  action: 'user.added' | 'user.changed' | 'user.removed' | 'signin.link_created',
  target: string,
  detail: Record<string, unknown>,
): Promise<void> {
  await tx.appendAudit([{ at, actor: actorOf(by), action, target, sessionId: null, detail }]);
}
