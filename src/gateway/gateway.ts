import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Gateway as GatewayPort, GatewayAttachment } from '../core/ports/gateway.ts';
import type { GitControl } from '../core/ports/git-control.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { ModelCredentials } from '../core/ports/model-credentials.ts';
import type { ModelMeter } from '../core/ports/model-meter.ts';
import { attachGateway } from './channel.ts';
import { createEgressProxy, type EgressProxy, type EgressProxyOptions } from './egress/egress-proxy.ts';
import { createGitGateway, type GitGateway } from './git/git-gateway.ts';
import { gitPrefix } from './git/git-target.ts';
import { createModelProxy } from './model-proxy.ts';
import type { ModelProxy } from './model-proxy.ts';
import { createNameService, type NameService, type NameServiceOptions } from './names/name-service.ts';
import { placeholderKey } from './placeholder.ts';
import { modelApis } from './upstreams.ts';
import type { ModelApi } from './upstreams.ts';

export interface GatewayOptions {
  /** Where the real credentials come from. */
  credentials: ModelCredentials;
  /** Absent: model calls are neither counted nor limited. */
  meter?: ModelMeter;
  /** What placeholder keys are derived from; see `placeholderKey`. */
  placeholderSecret: string | Uint8Array;
  /** Absent: a sandbox reaches its model and nothing else. */
  egress?: EgressProxyOptions;
  /** Absent: no name is answered. */
  names?: NameServiceOptions;
  /** Absent: no repository is reached through the gateway. */
  git?: GitControl;
  logger: Logger;
  maxBodyBytes?: number;
}

/**
 * The one way out of a sandbox, and the only holder of model keys. Who calls is known by the channel
 * a request came in on, never by what it says; the placeholder key is checked on top of that.
 */
export interface Gateway extends GatewayPort {
  /** Ends every channel and kept-alive connection. */
  close(): void;
}

/** A connection that sends no complete request head within this is closed. */
const headTimeoutMs = 30_000;
/** A connection on which nothing moves for this long is closed; above the model proxy's own limits. */
const idleTimeoutMs = 20 * 60_000;

export function createGateway(options: GatewayOptions): Gateway {
  const proxy = createModelProxy(options);
  const egress = options.egress === undefined ? null : createEgressProxy(options.egress);
  const git = options.git === undefined ? null : createGitGateway({ control: options.git, logger: options.logger });
  const names = options.names === undefined ? null : createNameService(options.names);
  const attachments = new Set<GatewayAttachment>();
  const placeholderOf = (sessionId: string): string => placeholderKey(sessionId, options.placeholderSecret);
  return {
    placeholderKey: placeholderOf,
    attach(sessionId, duplex) {
      const logger = options.logger.child({ sessionId });
      const server = createSessionServer(sessionId, placeholderOf(sessionId), proxy, egress, git, names);
      const attachment = attachGateway(
        duplex,
        {
          onConnection(stream) {
            server.emit('connection', stream);
          },
        },
        logger,
      );
      attachments.add(attachment);
      void attachment.closed.then(() => attachments.delete(attachment));
      return attachment;
    },
    close() {
      for (const attachment of attachments) attachment.close();
      proxy.close();
      git?.close();
    },
  };
}

/** An HTTP/1.1 server that never listens: connections are handed to it, all of one session. */
function createSessionServer(
  sessionId: string,
  placeholder: string,
  proxy: ModelProxy,
  egress: EgressProxy | null,
  git: GitGateway | null,
  names: NameService | null,
): Server {
  const server = createServer({ maxHeaderSize: 32 * 1024, keepAliveTimeout: 60_000, noDelay: false }, onRequest);
  server.maxHeadersCount = 100;
  server.setTimeout(idleTimeoutMs);

  // Node enforces `headersTimeout` only on a server that listens, so the first head is timed here.
  const awaited = new Map<Duplex, NodeJS.Timeout>();
  const arrived = (stream: Duplex): void => {
    clearTimeout(awaited.get(stream));
    awaited.delete(stream);
  };
  server.on('connection', (stream: Duplex) => {
    awaited.set(stream, setTimeout(() => stream.destroy(), headTimeoutMs).unref());
    stream.once('close', () => arrived(stream));
  });

  server.on('connect', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    arrived(stream);
    if (egress === null) refuseRaw(stream, request.url ?? '');
    else egress.connect(sessionId, request, stream, head);
  });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex) => refuseRaw(stream, request.url ?? ''));
  server.on('clientError', (_error: Error, stream: Duplex) => {
    if (stream.writable) stream.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else stream.destroy();
  });

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    arrived(request.socket);
    if (git !== null && request.url?.startsWith(gitPrefix) === true) return git.handle(sessionId, request, response);
    if (names?.handle(sessionId, request, response) === true) return;
    const target = parseTarget(request.url ?? '');
    if (target === null) {
      if (egress?.forward(sessionId, request, response) === true) return;
      const body = noNetwork(request.url ?? '');
      response.writeHead(403, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
      response.end(body);
      request.resume();
      return;
    }
    proxy.handle({ sessionId, placeholder, ...target }, request, response);
  }
  return server;
}

/**
 * The model API, path and query that a request's target names, or `null` for anything else, a
 * proxied `http://...` target included. Nothing is decoded or resolved: a path with dots, escapes or
 * doubled slashes matches no allowed route.
 */
export function parseTarget(target: string): { api: ModelApi; path: string; query: URLSearchParams } | null {
  const [, segment, path, query] = /^\/([a-z]+)(\/[^?#]*)(?:\?([^#]*))?$/.exec(target) ?? [];
  const api = modelApis.find((name) => name === segment);
  if (api === undefined || path === undefined) return null;
  return { api, path, query: new URLSearchParams(query) };
}

function noNetwork(target: string): string {
  // The target is the sandbox's own text; cut, and without control characters.
  const shown = target.slice(0, 200).replace(/[^\x21-\x7e]/g, '?');
  return `no network: this sandbox reaches the model gateway only, and ${shown} is not part of it\n`;
}

function refuseRaw(stream: Duplex, target: string): void {
  const body = noNetwork(target);
  stream.on('error', () => stream.destroy());
  stream.end(
    `HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
