import { randomBytes } from 'node:crypto';
import { newId } from '../../protocol/ids.ts';
import { actorOf, serverActor } from '../audit/actor.ts';
import type { TokenScope } from '../../protocol/users-api.ts';
import type { StoreTransaction, TokenRecord } from '../ports/store.ts';
import { hashToken } from './principal.ts';

export interface NewToken {
  name: string;
  /** The user's handle. */
  owner: string;
  scopes: readonly TokenScope[];
  expiresAt: string | null;
}

/** A new token of 256 random bits. It is in the answer alone: its digest is what is stored. */
export async function issueToken(
  tx: Pick<StoreTransaction, 'insertToken' | 'appendAudit'>,
  { name, owner, scopes, expiresAt }: NewToken,
  at: Date,
  by: string = serverActor,
): Promise<{ token: string; record: TokenRecord }> {
  const token = `brth_${randomBytes(32).toString('base64url')}`;
  const record: TokenRecord = {
    id: newId('token'),
    name,
    owner,
    hash: hashToken(token),
    scopes: [...scopes],
    expiresAt,
    lastUsedAt: null,
    revokedAt: null,
    createdAt: at.toISOString(),
  };
  await tx.insertToken(record);
  const detail = { name, owner, scopes, expiresAt };
  await tx.appendAudit([
    { at: record.createdAt, actor: actorOf(by), action: 'token.created', target: record.id, sessionId: null, detail },
  ]);
  return { token, record };
}
