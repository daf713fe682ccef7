import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { badAnswer, transportFailure } from './failure.ts';
import { readFailure, targetOf, type Call, type Connection } from './request.ts';

/**
 * Turns a fresh connection into a raw stream. `signal` covers the handshake only; the stream is the caller's from
 * then on. A refusal throws the runner's error.
 */
export async function upgrade(
  { agent, token }: Connection,
  protocol: string,
  call: Pick<Call, 'path' | 'query'>,
  signal: AbortSignal,
): Promise<{ stream: Duplex; headers: IncomingHttpHeaders }> {
  let transport: Duplex;
  try {
    signal.throwIfAborted();
    transport = await agent.dial(signal);
  } catch (error) {
    throw transportFailure(error, signal);
  }
  const onAbort = () => transport.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      const request = httpRequest({
        createConnection: () => transport,
        path: targetOf(call),
        headers: { host: 'runner', authorization: `Bearer ${token}`, connection: 'Upgrade', upgrade: protocol },
      });
      request.once('error', reject);
      request.once('response', (response) => {
        if ((response.statusCode ?? 500) < 400) reject(badAnswer(`${response.statusCode} to an upgrade`));
        else readFailure(response, signal).then(reject, reject);
      });
      request.once('upgrade', ({ headers }, stream, head) => {
        if (head.length > 0) stream.unshift(head);
        resolve({ stream, headers });
      });
      request.end();
    });
  } catch (error) {
    transport.destroy();
    throw transportFailure(error, signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
