import type { Context } from 'hono';
import { BerthError } from '../protocol/errors.ts';
import type { AppEnv } from './context.ts';

/**
 * Refuses what a page of another origin made the browser send. The cookie is `SameSite=Strict`, but other ports of
 * the same host are the same site, and a sandbox's preview may be one of them.
 *
 * Browsers send `Origin` with every write and every WebSocket, so one without it is refused too; reads carry it only
 * across origins.
 */
export function requireSameOrigin(c: Context<AppEnv>, publicUrl: string | null): void {
  const origin = c.req.header('origin');
  const isRead = c.req.method === 'GET' || c.req.method === 'HEAD';
  const isUpgrade = c.req.header('upgrade') !== undefined;
  const site = c.req.header('sec-fetch-site');
  const foreignSite = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (!foreignSite && origin === undefined && isRead && !isUpgrade) return;
  if (!foreignSite && origin !== undefined && isOurs(origin, c.req.url, publicUrl)) return;
  throw new BerthError('forbidden', "a signed-in browser may call only from this server's own pages", {
    field: 'origin',
  });
}

function isOurs(origin: string, requestUrl: string, publicUrl: string | null): boolean {
  if (!URL.canParse(origin)) return false;
  const { host } = new URL(origin);
  // By host: a proxy that ends TLS leaves `http` in the address that this server sees.
  return host === new URL(requestUrl).host || (publicUrl !== null && host === new URL(publicUrl).host);
}
