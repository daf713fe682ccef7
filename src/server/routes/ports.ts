import type { IncomingMessage } from 'node:http';
import { upgradeWebSocket } from '@hono/node-server';
import type { Context } from 'hono';
import { BerthError } from '../../protocol/errors.ts';
import type { AppDependencies, AppEnv, Router } from '../context.ts';
import type { PortAddress } from '../ports/headers.ts';
import { proxyHttp } from '../ports/proxy-http.ts';
import { joinSockets, openInnerSocket } from '../ports/proxy-socket.ts';
import { chooseProtocol } from '../ports/subprotocols.ts';
import { openForwardSocket } from '../ws/forward-socket.ts';

/**
 * Ports of a session's sandbox, as HTTP and WebSocket below an address of their own, and as raw streams. Each request
 * wakes the sandbox, and keeps it awake until its answer has ended.
 */
export function portRoutes(app: Router, deps: AppDependencies): void {
  const { sessions } = deps.core;

  app.all('/api/sessions/:id/ports/:port', (c) => {
    portOf(c);
    const { pathname, search } = new URL(c.req.url);
    // Relative addresses of the page count from here.
    return c.redirect(`${pathname}/${search}`, 308);
  });

  app.all('/api/sessions/:id/ports/:port/*', async (c, next) => {
    const id = c.req.param('id');
    const port = portOf(c);
    const request = c.req.raw;
    const url = new URL(request.url);
    const prefix = url.pathname.split('/').slice(0, 6).join('/');
    const address: PortAddress = { prefix, port };
    const path = (url.pathname.slice(prefix.length) || '/') + url.search;
    const stream = await sessions.dial(id, port, request.signal);
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') return proxyHttp(request, stream, path, address);
    return upgradeWebSocket(async () => {
      const inner = await openInnerSocket(request, stream, path, address);
      chooseProtocol((c.env as { incoming: IncomingMessage }).incoming, inner.protocol);
      return joinSockets(inner);
    })(c, next);
  });

  app.get(
    '/api/sessions/:id/forward/:port',
    upgradeWebSocket(async (c) =>
      openForwardSocket(await sessions.dial(c.req.param('id') ?? '', portOf(c), c.req.raw.signal)),
    ),
  );
}

function portOf(c: Context<AppEnv>): number {
  const text = c.req.param('port') ?? '';
  const port = Number(text);
  if (!/^[1-9][0-9]{0,4}$/.test(text) || port > 65_535) {
    throw new BerthError('invalid_request', 'a port is an integer from 1 to 65535', { field: 'port' });
  }
  return port;
}
