import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const lookMs = 20;

/** Resolves when `GET /health` is answered with 200 over a stream that `dial` gives. */
export async function waitForHealth(dial: () => Promise<Duplex>, signal: AbortSignal): Promise<void> {
  while (!(await isHealthy(dial, signal))) {
    signal.throwIfAborted();
    await sleep(lookMs);
  }
}

async function isHealthy(dial: () => Promise<Duplex>, signal: AbortSignal): Promise<boolean> {
  let stream: Duplex;
  try {
    stream = await dial();
  } catch {
    signal.throwIfAborted();
    return false;
  }
  return new Promise((resolve) => {
    const call = request({ path: '/health', createConnection: () => stream, signal, headers: { connection: 'close' } });
    call.on('response', (response) => {
      response.resume();
      response.on('close', () => resolve(response.statusCode === 200));
    });
    call.on('error', () => resolve(false));
    call.end();
  });
}
