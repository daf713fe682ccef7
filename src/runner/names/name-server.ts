import { createSocket } from 'node:dgram';
import { request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { gatewayPort, namesPath } from '../../protocol/runner-api.ts';
import { log } from '../log.ts';
import { cutForUdp, failedAnswer } from './messages.ts';

/**
 * The sandbox's name server, on 127.0.0.1 where resolvers look when nobody names one: it carries each question to the gateway,
 * over the same port as everything else, and decides nothing itself.
 */
export interface NameServer {
  /** Idempotent. */
  open(): void;
  close(): void;
}

const address = '127.0.0.1';
/** A resolver asks again after about this long. */
const answerTimeoutMs = 5000;
const maxAnswerBytes = 65_535;
const maxAsking = 64;
const maxConnections = 16;

/** `isConnected`: whether a question would go anywhere now; else it fails at once. */
export function createNameServer(port: number, isConnected: () => boolean): NameServer {
  let opened: { close(): void }[] | null = null;
  let asking = 0;

  async function answerOf(query: Buffer): Promise<Buffer> {
    if (!isConnected() || asking >= maxAsking) return failedAnswer(query);
    asking += 1;
    try {
      return await ask(query);
    } catch {
      return failedAnswer(query);
    } finally {
      asking -= 1;
    }
  }

  function openUdp(): { close(): void } {
    const socket = createSocket('udp4');
    // Somebody else in the sandbox may have the port.
    socket.on('error', (error) => log(`no names by UDP: ${error.message}`));
    socket.on('message', (query, from) => {
      void answerOf(query).then((answer) => {
        if (answer.length > 0) socket.send(cutForUdp(query, answer), from.port, from.address, () => undefined);
      });
    });
    socket.bind(port, address);
    return { close: () => void socket.close() };
  }

  function openTcp(): { close(): void } {
    const server = createServer((socket) => serve(socket, answerOf));
    server.maxConnections = maxConnections;
    server.on('error', (error) => log(`no names by TCP: ${error.message}`));
    server.listen(port, address);
    return server;
  }

  return {
    open() {
      opened ??= [openUdp(), openTcp()];
    },
    close() {
      for (const each of opened ?? []) each.close();
      opened = null;
    },
  };
}

/** Each message comes after its length (RFC 1035, 4.2.2); one is answered after the other. */
function serve(socket: Socket, answerOf: (query: Buffer) => Promise<Buffer>): void {
  socket.setTimeout(2 * answerTimeoutMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  void (async () => {
    let held: Buffer = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE()) {
        const end = 2 + held.readUInt16BE();
        const answer = await answerOf(held.subarray(2, end));
        held = held.subarray(end);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    }
    socket.end();
  })().catch(() => socket.destroy());
}

function ask(query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/dns-message', 'content-length': query.length, connection: 'close' };
    const asked = request({ host: address, port: gatewayPort, method: 'POST', path: namesPath, headers, agent: false, signal: AbortSignal.timeout(answerTimeoutMs) }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswerBytes) asked.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('end', () => (response.statusCode === 200 ? resolve(Buffer.concat(chunks)) : reject(new Error(`status ${response.statusCode}`))));
    });
    asked.once('error', reject);
    asked.end(query);
  });
}
