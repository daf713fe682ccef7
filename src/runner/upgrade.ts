import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { BerthError, toErrorBody } from '../protocol/errors.ts';
import { matchPattern, parseUrl, toBerthError } from './router.ts';

export interface UpgradeContext {
  url: URL;
  params: Record<string, string>;
  /** Answers 101 and gives the raw stream. Before it, a thrown error is answered as usual. */
  accept: (headers?: Record<string, string>) => Duplex;
}

/** A `GET` route that turns its connection into a byte stream. */
export interface UpgradeRoute {
  pattern: string;
  /** Value of the `Upgrade` header. */
  protocol: string;
  handler(ctx: UpgradeContext): Promise<void> | void;
}

/** Answers one upgrade request; never rejects. `check` throws when the request is not authorised. */
export async function handleUpgrade(
  routes: readonly UpgradeRoute[],
  check: (req: IncomingMessage) => void,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // Without a listener a broken peer would end the runner.
  socket.on('error', () => socket.destroy());
  let accepted = false;
  try {
    check(req);
    const url = parseUrl(req);
    const { route, params } = findUpgrade(routes, req, url.pathname);
    await route.handler({
      url,
      params,
      accept(headers = {}) {
        accepted = true;
        const lines = Object.entries({ connection: 'Upgrade', upgrade: route.protocol, ...headers });
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
        if (head.length > 0) socket.unshift(head);
        return socket;
      },
    });
  } catch (thrown) {
    const error = toBerthError(thrown);
    if (accepted) socket.destroy();
    else refuse(socket, error);
  }
}

function findUpgrade(routes: readonly UpgradeRoute[], req: IncomingMessage, path: string) {
  for (const route of routes) {
    const params = matchPattern(route.pattern, path);
    if (params === null) continue;
    if (req.method !== 'GET')
      throw new BerthError('method_not_allowed', 'an upgrade is a GET', { context: { allowed: ['GET'] } });
    if (req.headers.upgrade?.toLowerCase() === route.protocol) return { route, params };
    throw new BerthError('invalid_request', `this route needs Upgrade: ${route.protocol}`, { field: 'upgrade' });
  }
  throw new BerthError('not_found', `no upgrade route ${path}`);
}

function refuse(socket: Duplex, error: BerthError): void {
  const body = JSON.stringify(toErrorBody(error));
  socket.end(
    `HTTP/1.1 ${error.status} ${error.code}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
