import type { IncomingMessage } from 'node:http';
import { upgradeWebSocket } from '@hono/node-server';
import type { Context, Next } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import type { Core } from '../../core/create-core.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { StoreReads } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import { createRouter, type AppEnv, type Router } from '../context.ts';
import { createErrorHandler } from '../errors.ts';
import type { PortAddress } from '../ports/headers.ts';
import { proxyHttp } from '../ports/proxy-http.ts';
import { joinSockets, openInnerSocket } from '../ports/proxy-socket.ts';
import { chooseProtocol } from '../ports/subprotocols.ts';
import { addressPath, linkParameter, parsePreviewHost, type PreviewSettings } from './preview-addresses.ts';
import type { PreviewGrant, PreviewLinks } from './preview-links.ts';

export interface PreviewAppOptions {
  core: Pick<Core, 'sessions' | 'accounts'>;
  reads: Pick<StoreReads, 'session'>;
  /** The machine whose sandboxes can be reached from here. */
  hostId: string;
  links: PreviewLinks;
  settings: PreviewSettings;
  logger: Logger;
}

/**
 * What listens in sandboxes, on origins of its own: nothing of Berth's is here, neither its pages nor its API nor its cookies.
 * Whatever is shown is hostile. A request is let in by a visit's cookie, or by the signed address in its path, and by the rights
 * that their token has now; all else gets one and the same answer.
 *
 * | where | the page's origin | let in by |
 * |---|---|---|
 * | `<port>-<session>.<domain>` | its own | a cookie of this host alone, which a link is exchanged for |
 * | `/p/<address>/` | none (sandboxed), so that previews of one listener cannot reach each other | the address |
 */
export function createPreviewApp({ core, reads, hostId, links, settings, logger }: PreviewAppOptions): Router {
  const app = createRouter();
  // The signed address lets in whoever has it.
  app.onError(createErrorHandler(logger, (path) => path.replace(addressPath, '/p/...$2')));

  async function admit(grant: PreviewGrant | null): Promise<PreviewGrant> {
    if (grant === null) throw refusal();
    // By the rights of now: a token that was revoked, or a share that was taken back, ends the preview.
    await core.accounts.admit(grant.tokenHash, [{ needs: 'session:prompt', session: grant.sessionId }]).catch(() => {
      throw refusal();
    });
    const session = await reads.session(grant.sessionId);
    if (session?.hostId !== null && session?.hostId !== hostId) {
      throw new BerthError('unavailable', 'the sandbox of this preview is on another host: ask for a new link', { context: { hostId: session?.hostId } });
    }
    return grant;
  }

  async function show(c: Context<AppEnv>, next: Next, grant: PreviewGrant, path: string, address: PortAddress): Promise<Response> {
    const request = c.req.raw;
    const stream = await core.sessions.dial(grant.sessionId, grant.port, request.signal);
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') return proxyHttp(request, stream, path, address);
    const upgraded = await upgradeWebSocket(async () => {
      const inner = await openInnerSocket(request, stream, path, address);
      chooseProtocol((c.env as { incoming: IncomingMessage }).incoming, inner.protocol);
      return joinSockets(inner);
    })(c, next);
    return upgraded ?? c.body(null, 400);
  }

  async function byHost(c: Context<AppEnv>, next: Next, named: { sessionId: string; port: number }): Promise<Response> {
    const url = new URL(c.req.url);
    const isHere = (grant: PreviewGrant | null): PreviewGrant | null =>
      grant?.sessionId === named.sessionId && grant.port === named.port ? grant : null;
    const link = url.searchParams.get(linkParameter);
    if (link !== null) {
      const grant = await admit(isHere(links.redeemLink(link)));
      setCookie(c, links.cookieName, links.createVisit(grant), {
        path: '/',
        httpOnly: true,
        // Links lead here from other sites.
        sameSite: 'Lax',
        secure: settings.baseUrl().startsWith('https:'),
        maxAge: links.visitMaxAgeSeconds,
      });
      url.searchParams.delete(linkParameter);
      c.header('referrer-policy', 'no-referrer');
      c.header('cache-control', 'no-store');
      return c.redirect(url.pathname + url.search, 302);
    }
    const cookie = getCookie(c, links.cookieName);
    const grant = await admit(cookie === undefined ? null : isHere(links.readVisit(cookie)));
    refuseForeignSocket(c);
    return show(c, next, grant, url.pathname + url.search, { prefix: '', port: grant.port, ownOrigin: { cookieName: links.cookieName } });
  }

  async function byPath(c: Context<AppEnv>, next: Next, text: string, rest: string | undefined): Promise<Response> {
    const grant = await admit(links.readAddress(text));
    const prefix = `/p/${text}`;
    const { search } = new URL(c.req.url);
    if (rest === undefined) return c.redirect(`${prefix}/${search}`, 308);
    const answer =
      c.req.method === 'OPTIONS' && c.req.header('access-control-request-method') !== undefined
        ? new Response(null, { status: 204 })
        : await show(c, next, grant, rest + search, { prefix, port: grant.port });
    // A sandboxed page is a stranger to its own server. Nothing but the address lets anybody in, and who has it may read.
    if (answer.status === 101) return answer;
    for (const [name, value] of Object.entries(corsForAll)) answer.headers.set(name, value);
    return answer;
  }

  app.all('*', (c, next) => {
    const host = c.req.header('host') ?? '';
    const named = settings.domain === null ? null : parsePreviewHost(settings.domain, host);
    if (named !== null) return byHost(c, next, named);
    const [, text, rest] = addressPath.exec(new URL(c.req.url).pathname) ?? [];
    if (text === undefined) throw refusal();
    return byPath(c, next, text, rest);
  });
  return app;
}

const corsForAll = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': '*',
  'access-control-allow-headers': '*',
};

/** Another site's page must not speak to the server inside in the visitor's name; browsers let it try by WebSocket alone. */
function refuseForeignSocket(c: Context<AppEnv>): void {
  const origin = c.req.header('origin');
  if (c.req.header('upgrade') === undefined || origin === undefined) return;
  if (URL.canParse(origin) && new URL(origin).host === c.req.header('host')) return;
  throw new BerthError('forbidden', 'a WebSocket to a preview is opened by its own page', { field: 'origin' });
}

function refusal(): BerthError {
  return new BerthError('unauthorized', 'this preview is private, or its link was used or has ended: berth preview <session> <port> prints a new one');
}
