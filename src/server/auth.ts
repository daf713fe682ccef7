import { createHash, randomBytes } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie } from 'hono/cookie';
import { serverActor } from '../core/audit/actor.ts';
import type { Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { newId } from '../protocol/ids.ts';
import type { AppEnv, BrowserAccess } from './context.ts';
import { requireSameOrigin } from './same-origin.ts';

const protocolPrefix = 'berth.token.';

/**
 * Every route behind this needs a token: in `authorization`; for WebSockets of programs, as a subprotocol; or a
 * signed-in browser's cookie, which counts only for requests of this server's own pages.
 */
export function requireToken(store: Store, browser: BrowserAccess): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    // Another server of the installation has looked at the token already.
    if (c.get('forwardedFrom') !== undefined) return next();
    const token = bearerOf(c.req.header('authorization')) ?? tokenOfProtocols(c.req.header('sec-websocket-protocol'));
    const tokenHash = token === null ? hashOfCookie(c, browser) : hashToken(token);
    if (tokenHash === null) {
      throw new BerthError('unauthorized', 'a token is needed: authorization: Bearer <token>', { field: 'authorization' });
    }
    // Looked up by digest, so that how long it takes tells nothing about a stored token.
    const record = await store.read.tokenByHash(tokenHash);
    if (record === null) throw new BerthError('unauthorized', 'the token is not valid', { field: 'authorization' });
    c.set('identity', { user: record.owner });
    c.set('tokenHash', tokenHash);
    await next();
  };
}

function hashOfCookie(c: Context<AppEnv>, { login, publicUrl }: BrowserAccess): string | null {
  const cookie = getCookie(c, login.cookieName);
  if (cookie === undefined) return null;
  requireSameOrigin(c, publicUrl());
  return login.readCookie(cookie);
}

/** A new token of 256 random bits; only its digest is stored. */
export async function issueToken(store: Store, name: string, owner: string, at: Date): Promise<string> {
  const token = `brth_${randomBytes(32).toString('base64url')}`;
  await store.transaction(async (tx) => {
    const record = { id: newId('token'), name, owner, hash: hashToken(token), createdAt: at.toISOString() };
    await tx.insertToken(record);
    await tx.appendAudit([
      {
        at: record.createdAt,
        actor: serverActor,
        action: 'token.created',
        target: record.id,
        sessionId: null,
        detail: { name, owner },
      },
    ]);
  });
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
