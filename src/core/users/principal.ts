import { createHash } from 'node:crypto';
import { BerthError } from '../../protocol/errors.ts';
import type { TokenScope, UserRole } from '../../protocol/users-api.ts';
import type { StoreReads } from '../ports/store.ts';

/** Who asks: a user, by one of his tokens. */
export interface Principal {
  /** The user's handle. */
  user: string;
  role: UserRole;
  tokenId: string;
  /** Of the token. */
  scopes: readonly TokenScope[];
}

/** What a token is known by; the token itself is never stored. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Throws `unauthorized` for a token that is unknown, revoked or over, and for one whose user is gone or disabled. */
export async function identify(
  reads: Pick<StoreReads, 'tokenByHash' | 'user'>,
  tokenHash: string,
  now: Date,
): Promise<Principal> {
  // Looked up by digest, so that how long it takes tells nothing about a stored token.
  const token = await reads.tokenByHash(tokenHash);
  const user = token === null ? null : await reads.user(token.owner);
  if (token === null || user === null || token.revokedAt !== null || user.disabledAt !== null) {
    throw new BerthError('unauthorized', 'the token is not valid', { field: 'authorization' });
  }
  if (token.expiresAt !== null && Date.parse(token.expiresAt) <= now.getTime()) {
    throw new BerthError('unauthorized', 'the token has expired', { field: 'authorization' });
  }
  return { user: user.handle, role: user.role, tokenId: token.id, scopes: token.scopes };
}
