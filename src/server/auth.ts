import { createHash, randomBytes } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import type { Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { newId } from '../protocol/ids.ts';
import type { AppEnv } from './context.ts';

const protocolPrefix = 'berth.token.';

/** Every route behind this needs a token: in `authorization`, or, for browsers' WebSockets, as a subprotocol. */
export function requireToken(store: Store): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    // Another server of the installation has looked at the token already.
    if (c.get('forwardedFrom') !== undefined) return next();
    const token = bearerOf(c.req.header('authorization')) ?? tokenOfProtocols(c.req.header('sec-websocket-protocol'));
    if (token === null) {
      throw new BerthError('unauthorized', 'a token is needed: authorization: Bearer <token>', { field: 'authorization' });
    }
    // Looked up by digest, so that how long it takes tells nothing about a stored token.
    const record = await store.read.tokenByHash(hashToken(token));
    if (record === null) throw new BerthError('unauthorized', 'the token is not valid', { field: 'authorization' });
    c.set('identity', { user: record.owner });
    await next();
  };
}

/** A new token of 256 random bits; only its digest is stored. */
export async function issueToken(store: Store, name: string, owner: string, at: Date): Promise<string> {
  const token = `brth_${randomBytes(32).toString('base64url')}`;
  await store.transaction((tx) =>
    tx.insertToken({ id: newId('token'), name, owner, hash: hashToken(token), createdAt: at.toISOString() }),
  );
  return token;
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function bearerOf(header: string | undefined): string | null {
  const match = /^Bearer ([A-Za-z0-9_-]{1,200})$/i.exec(header ?? '');
  return match?.[1] ?? null;
}

function tokenOfProtocols(header: string | undefined): string | null {
  const found = (header ?? '').split(',').find((each) => each.trim().startsWith(protocolPrefix));
  return found === undefined ? null : found.trim().slice(protocolPrefix.length);
}
