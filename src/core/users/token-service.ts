import type { AddedToken, AddTokenRequest, Token } from '../../protocol/users-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { TokenRecord } from '../ports/store.ts';
import { issueToken } from './tokens.ts';
import type { UserServiceOptions } from './user-service.ts';

/** Tokens of users. `by` is who does it, for the audit log. */
export interface TokenService {
  /** Newest first, those that were revoked left out. */
  list(user: string): Promise<Token[]>;
  /** The secret is in the answer alone. Throws `not_found` for a user that there is not, `conflict` for one who is disabled. */
  add(user: string, request: AddTokenRequest, by: string): Promise<AddedToken>;
  /** What it has open ends at once. No-op for one that was revoked. */
  revoke(id: string, by: string): Promise<void>;
  /** As its holder, by its digest. No-op for one that there is not, or that was revoked. */
  revokeOwn(tokenHash: string): Promise<void>;
}

export function createTokenService({ store, clock, narrowed }: UserServiceOptions): TokenService {
  return {
    async list(user) {
      const tokens = await store.read.tokens(user);
      return tokens.filter(({ revokedAt }) => revokedAt === null).map(viewToken);
    },

    add: (handle, { name, scopes, expiresInSeconds }, by) =>
      store.transaction(async (tx) => {
        const user = await tx.user(handle);
        if (user === null) throw new BerthError('not_found', `there is no user ${handle}`, { field: 'handle' });
        if (user.disabledAt !== null) throw new BerthError('conflict', `${handle} is disabled`, { field: 'handle' });
        const at = clock.now();
        const expiresAt =
          expiresInSeconds === null ? null : new Date(at.getTime() + expiresInSeconds * 1000).toISOString();
        const { token, record } = await issueToken(
          tx,
          { name, owner: handle, scopes: [...new Set(scopes)], expiresAt },
          at,
        );
        await tx.appendAudit([
          {
            at: at.toISOString(),
            actor: actorOf(by),
            action: 'token.created',
            target: record.id,
            sessionId: null,
            detail: { name, owner: handle, scopes: record.scopes, expiresAt },
          },
        ]);
        return { token: viewToken(record), secret: token };
      }),

    async revokeOwn(tokenHash) {
      const token = await store.read.tokenByHash(tokenHash);
      if (token !== null) await this.revoke(token.id, token.owner);
    },

    async revoke(id, by) {
      await store.transaction(async (tx) => {
        const token = await tx.token(id);
        if (token === null) throw new BerthError('not_found', `there is no token ${id}`, { field: 'id' });
        if (token.revokedAt !== null) return;
        const at = clock.now().toISOString();
        await tx.updateToken(id, { revokedAt: at });
        const { name, owner } = token;
        await tx.appendAudit([
          { at, actor: actorOf(by), action: 'token.revoked', target: id, sessionId: null, detail: { name, owner } },
        ]);
      });
      narrowed();
    },
  };
}

export function viewToken({ hash: _, owner, ...record }: TokenRecord): Token {
  return { ...record, user: owner };
}
