import type { Context } from 'hono';
import { getCookie } from 'hono/cookie';
import { hashToken } from '../core/users/principal.ts';
import { BerthError } from '../protocol/errors.ts';
import type { AppEnv, BrowserAccess } from './context.ts';
import { requireSameOrigin } from './same-origin.ts';

const protocolPrefix = 'berth.token.';

/**
 * The digest of the token that a request comes with: in `authorization`; for WebSockets of programs, as a subprotocol; a
 * signed-in browser's cookie, which counts only for requests of this server's own pages; or what another server of the
 * installation says, which has forwarded it. Throws `unauthorized` where there is none.
 */
export function tokenHashOf(c: Context<AppEnv>, browser: BrowserAccess): string {
  const forwarded = c.get('forwarded');
  if (forwarded !== undefined) return forwarded.tokenHash;
  const token = bearerOf(c.req.header('authorization')) ?? tokenOfProtocols(c.req.header('sec-websocket-protocol'));
  const tokenHash = token === null ? hashOfCookie(c, browser) : hashToken(token);
  if (tokenHash !== null) return tokenHash;
  throw new BerthError('unauthorized', 'a token is needed: authorization: Bearer <token>', { field: 'authorization' });
}

function hashOfCookie(c: Context<AppEnv>, { login, publicUrl }: BrowserAccess): string | null {
  const cookie = getCookie(c, login.cookieName);
  if (cookie === undefined) return null;
  requireSameOrigin(c, publicUrl());
  return login.readCookie(cookie)?.tokenHash ?? null;
}

function bearerOf(header: string | undefined): string | null {
  const match = /^Bearer ([A-Za-z0-9_-]{1,200})$/i.exec(header ?? '');
  return match?.[1] ?? null;
}

function tokenOfProtocols(header: string | undefined): string | null {
  const found = (header ?? '').split(',').find((each) => each.trim().startsWith(protocolPrefix));
  return found === undefined ? null : found.trim().slice(protocolPrefix.length);
}
