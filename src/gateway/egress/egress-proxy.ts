import { createServer, request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { pipeline, type Duplex } from 'node:stream';
import type { EgressTarget } from '../../core/egress/judge-egress.ts';
import type { EgressControl } from '../../core/ports/egress.ts';
import type { InjectedSecret, SecretControl } from '../../core/ports/secret-control.ts';
import { BerthError } from '../../protocol/errors.ts';
import { withoutHopByHop } from '../headers.ts';
import { parseAuthority, parseProxiedUrl, type ProxiedUrl } from './parse-egress-target.ts';
import type { PublicDial } from './public-dial.ts';
import { headersWithSecrets, withoutSecrets } from './secret-headers.ts';
import { createRedaction } from './redaction.ts';

/**
 * An HTTP proxy for what runs in a sandbox: CONNECT for TLS and anything else, absolute `http://` targets for plain
 * HTTP. Whose sandbox it is comes from the channel. Each connection is judged by the session's policy, then by the
 * address that its name resolves to; both answers are recorded. What is refused is told in words that an agent can
 * act on.
 *
 * A plain request to a host that the session has a secret for leaves by TLS with the secret in its headers; what comes back is
 * searched for it. `http://` is how a sandbox asks for that: into a tunnel nothing can be put.
 */
export interface EgressProxy {
  connect(sessionId: string, request: IncomingMessage, client: Duplex, head: Buffer): void;
  /** False for a target that is no proxied URL. */
  forward(sessionId: string, request: IncomingMessage, response: ServerResponse): boolean;
}

export interface EgressProxyOptions {
  control: Pick<EgressControl, 'judge' | 'record'>;
  dial: PublicDial;
  /** Absent: no request gets a secret. */
  secrets?: SecretControl;
  /** Certificates to trust beside the machine's, for tests. */
  ca?: string;
  /** A tunnel on which nothing moves for this long is closed. Default 15 min. */
  idleTimeoutMs?: number;
}

interface Refusal {
  status: 400 | 403 | 502;
  message: string;
}

type Opened = { socket: Socket } | { refusal: Refusal };

export function createEgressProxy({ control, dial, secrets, ca, idleTimeoutMs = 15 * 60_000 }: EgressProxyOptions): EgressProxy {
  async function open(sessionId: string, target: EgressTarget, signal: AbortSignal): Promise<Opened> {
    const judgement = await control.judge(sessionId, target);
    if (!judgement.allowed) {
      control.record(sessionId, target, judgement);
      return { refusal: { status: 403, message: howToAllow(sessionId, target) } };
    }
    try {
      const socket = await dial(target.host, target.port, signal);
      control.record(sessionId, target, judgement);
      return { socket };
    } catch (error) {
      if (error instanceof BerthError && error.code === 'forbidden') {
        control.record(sessionId, target, { allowed: false, reason: 'it is not a public address' });
        return { refusal: { status: 403, message: `${error.message}: a sandbox reaches public addresses only` } };
      }
      control.record(sessionId, target, judgement);
      return { refusal: { status: 502, message: error instanceof BerthError ? error.message : 'the connection failed' } };
    }
  }

  /** A plain address means the TLS port to a host with a secret. */
  const secretTarget = ({ host, port }: EgressTarget): EgressTarget => ({ host, port: port === 80 ? 443 : port });
  const secretsOf = async (sessionId: string, target: EgressTarget): Promise<readonly InjectedSecret[]> =>
    secrets === undefined ? [] : secrets.secretsFor(sessionId, secretTarget(target));

  /** Tunnels that end here: their programs speak plain HTTP to a host with a secret. */
  const tunnels = new WeakMap<Duplex, { sessionId: string; to: EgressTarget; authority: string }>();
  const tunnelServer = createServer({ maxHeaderSize: 32 * 1024, noDelay: false }, (request, response) => {
    const tunnel = tunnels.get(request.socket);
    const parsed = tunnel === undefined ? null : parseProxiedUrl(`http://${tunnel.authority}${request.url ?? ''}`);
    if (tunnel === undefined || parsed === null) return void response.writeHead(400).end();
    void carry(tunnel.sessionId, parsed, request, response);
  });
  tunnelServer.setTimeout(idleTimeoutMs);

  async function openTunnel(sessionId: string, target: EgressTarget, client: Duplex, head: Buffer, gone: AbortSignal): Promise<void> {
    // Of a tunnel to another port nothing says that plain HTTP is spoken in it.
    if (target.port === 80 && (await secretsOf(sessionId, target)).length > 0) {
      tunnels.set(client, { sessionId, to: target, authority: `${target.host}:80` });
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) client.unshift(head);
      tunnelServer.emit('connection', client);
      return;
    }
    const opened = await open(sessionId, target, gone);
    if ('refusal' in opened) return refuse(client, opened.refusal);
    const { socket } = opened;
    if (gone.aborted) return void socket.destroy();
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) socket.write(head);
    join(client, socket, idleTimeoutMs);
  }

  async function carry(sessionId: string, parsed: ProxiedUrl, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = goneSignal(response);
    const fail = ({ status, message }: Refusal): void => {
      if (response.headersSent) return void response.destroy();
      request.resume();
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
      response.flushHeaders();
      response.end(`Berth: ${message}\n`);
    };
    let injected: readonly InjectedSecret[];
    try {
      injected = await secretsOf(sessionId, parsed.to);
    } catch {
      return fail({ status: 502, message: 'the secret for this host could not be read' });
    }
    const hasSecret = injected.length > 0;
    const target = hasSecret ? secretTarget(parsed.to) : parsed.to;
    const opened = await open(sessionId, target, gone);
    if ('refusal' in opened) return fail(opened.refusal);
    if (gone.aborted) return void opened.socket.destroy();
    const plain = { ...requestHeaders(request.headers), host: hasSecret ? authorityOf(target) : parsed.authority };
    const { method = 'GET' } = request;
    const outgoing = httpRequest({
      method,
      path: parsed.path,
      headers: hasSecret ? headersWithSecrets(plain, injected) : plain,
      setHost: false,
      createConnection: () =>
        hasSecret
          ? connectTls({ socket: opened.socket, servername: target.host, ...(ca === undefined ? {} : { ca }), ALPNProtocols: ['http/1.1'] })
          : opened.socket,
    });
    if (hasSecret) secrets?.recordUse(sessionId, target, injected);
    outgoing.setTimeout(idleTimeoutMs, () => outgoing.destroy(new Error('nothing came')));
    outgoing.once('response', (answer) => {
      const encoding = answer.headers['content-encoding'] ?? 'identity';
      if (hasSecret && encoding !== 'identity') {
        outgoing.destroy();
        return fail({ status: 502, message: `${target.host} answers compressed although asked not to, so its answer cannot be searched for the secret` });
      }
      const headers = withoutHopByHop(answer.headers);
      response.writeHead(answer.statusCode ?? 502, hasSecret ? withoutSecrets(headers, injected) : headers);
      // Head and body in one vectored write come out mangled at the far end of an HTTP/2 stream (Node 24.21).
      response.flushHeaders();
      const done = (): void => void opened.socket.destroy();
      if (hasSecret) pipeline(answer, createRedaction(injected.flatMap(({ needles }) => needles)), response, done);
      else pipeline(answer, response, done);
    });
    outgoing.on('error', () => fail({ status: 502, message: `${parsed.to.host} broke the connection${hasSecret ? ', or its certificate is not valid' : ''}` }));
    gone.addEventListener('abort', () => outgoing.destroy(), { once: true });
    pipeline(request, outgoing, () => undefined);
  }

  return {
    connect(sessionId, request, client, head) {
      const gone = goneSignal(client);
      client.on('error', () => client.destroy());
      const target = parseAuthority(request.url ?? '');
      if (target === null) return refuse(client, { status: 400, message: 'CONNECT needs host:port' });
      openTunnel(sessionId, target, client, head, gone).catch(() => refuse(client, { status: 502, message: 'the connection failed' }));
    },

    forward(sessionId, request, response) {
      const parsed = parseProxiedUrl(request.url ?? '');
      if (parsed === null) return false;
      void carry(sessionId, parsed, request, response);
      return true;
    },
  };
}

function authorityOf({ host, port }: EgressTarget): string {
  return port === 443 ? host : `${host}:${port}`;
}

/** One request on a connection of its own. */
function requestHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return { ...withoutHopByHop(headers), connection: 'close' };
}

function howToAllow(sessionId: string, { host, port }: EgressTarget): string {
  const rule = port === 80 || port === 443 ? host : `${host}:${port}`;
  return `this session may not reach ${host}:${port}. A person can allow it with: berth egress allow ${sessionId} ${rule}`;
}

function refuse(client: Duplex, { status, message }: Refusal): void {
  const body = `Berth: ${message}\n`;
  const reason = { 400: 'Bad Request', 403: 'Forbidden', 502: 'Bad Gateway' }[status];
  client.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** Both directions with their ends; a break on one side breaks the other. */
function join(client: Duplex, socket: Socket, idleTimeoutMs: number): void {
  socket.setTimeout(idleTimeoutMs, () => socket.destroy());
  const breakBoth = () => {
    client.destroy();
    socket.destroy();
  };
  socket.on('error', breakBoth);
  client.on('error', breakBoth);
  client.once('close', () => socket.destroy());
  // Its end has been passed on by then, if it had one.
  socket.once('close', () => {
    if (!client.writableEnded) client.destroy();
  });
  client.pipe(socket);
  socket.pipe(client);
}

function goneSignal(stream: Duplex | ServerResponse): AbortSignal {
  const controller = new AbortController();
  stream.once('close', () => controller.abort());
  return controller.signal;
}
