import { closeSync, constants, fstatSync, openSync, watch, type FSWatcher } from 'node:fs';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import { runnerFailure } from '../../../protocol/runner-failure.ts';
import { parseShallowJson } from '../../../protocol/shallow-json.ts';
import { connectSocket } from '../../connect-socket.ts';
import { socketFileName } from './runner-process.ts';

/** O_PATH of asm-generic/fcntl.h, which Node does not name: refers to a file without opening it. */
const O_PATH = 0o10_000_000;

/**
 * Connects to the runner's socket. The directory is writable by hostile code, so the name is resolved
 * once, without following a link, and what was found is checked before it is used; the connection is
 * then made to exactly that, through /proc, which also lifts the length limit of socket addresses.
 * Rejects with the system's error: `ENOENT` before the runner listens, `ECONNREFUSED` after it ended.
 */
export async function connectRunnerSocket(runDir: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  // Synchronous: a lookup that reads nothing is done sooner than it is scheduled.
  const fd = openSync(join(runDir, socketFileName), O_PATH | constants.O_NOFOLLOW);
  try {
    if (!fstatSync(fd).isSocket()) throw new BerthError('sandbox_lost', "the runner's socket was replaced");
    return await connectSocket(`/proc/self/fd/${fd}`, signal);
  } finally {
    closeSync(fd);
  }
}

/** Between two looks when the kernel tells of nothing, and how soon an end without a word is noticed. */
const lookMs = 25;
/** From its name's appearance to its first connection a socket takes less. */
const listenMs = 1;
const startDeadlineMs = 30_000;

/**
 * Resolves when `GET /health` is answered with 200. Waits for the socket's appearance rather than polls: the
 * machine's cores are needed by what is starting. `isAlive` is asked now and then, so that a sandbox that ended
 * while starting is told at once from one that is slow.
 */
export async function waitForRunner(
  runDir: string,
  isAlive: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + startDeadlineMs;
  const changes = watchDirectory(runDir);
  try {
    for (;;) {
      signal.throwIfAborted();
      const health = await askHealth(runDir, signal);
      if (health === 'answered') return;
      if (performance.now() > deadline) throw new BerthError('timeout', 'the runner did not answer');
      if (health === 'absent') {
        const changed = await changes.next(lookMs, signal);
        if (!changed && !(await isAlive()))
          throw new BerthError('sandbox_lost', 'the sandbox ended while it was starting');
      } else {
        await sleep(listenMs);
        if (!(await isAlive())) throw new BerthError('sandbox_lost', 'the sandbox ended while it was starting');
      }
    }
  } finally {
    changes.close();
  }
}

interface DirectoryChanges {
  /** Resolves to `true` at the next change, or at once if there was one since the last call; to `false` when time is up or the signal fires. */
  next(timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  close(): void;
}

function watchDirectory(path: string): DirectoryChanges {
  let changed = false;
  let wake = () => {};
  const notice = () => {
    changed = true;
    wake();
  };
  let watcher: FSWatcher | null = null;
  try {
    watcher = watch(path, { persistent: false }, notice);
    watcher.on('error', () => {});
  } catch {
    // The user's inotify watches are used up: the looks in between are enough, only later.
  }
  return {
    async next(timeoutMs, signal) {
      if (!changed) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
          signal.addEventListener('abort', wake, { once: true });
        });
        signal.removeEventListener('abort', wake);
      }
      const result = changed;
      changed = false;
      return result;
    },
    close: () => watcher?.close(),
  };
}

/** `absent`: no socket yet. `silent`: one that does not answer. */
async function askHealth(runDir: string, signal: AbortSignal): Promise<'answered' | 'absent' | 'silent'> {
  let socket: Socket;
  try {
    socket = await connectRunnerSocket(runDir, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'absent';
    if (code === 'ECONNREFUSED' || code === 'EACCES') return 'silent';
    throw error;
  }
  return new Promise((resolve) => {
    const call = request({ path: '/health', createConnection: () => socket, signal, timeout: 5000 }, (response) => {
      resolve(response.statusCode === 200 ? 'answered' : 'silent');
      // What it says besides is not read: an impostor's answer need not end.
      response.destroy();
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve('silent'));
    call.on('close', () => resolve('silent'));
    call.setHeader('connection', 'close');
    call.end();
  });
}

/** A byte stream to another port inside, through the runner. Throws the runner's own code when nothing listens there. */
export async function dialThroughRunner(
  socket: Duplex,
  port: number,
  token: string,
  signal: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const call = request({
      path: `/ports/${port}`,
      createConnection: () => socket,
      headers: { connection: 'Upgrade', upgrade: 'tcp', authorization: `Bearer ${token}` },
    });
    const abort = () => call.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    const settle = () => signal.removeEventListener('abort', abort);
    call.on('upgrade', (_response, stream, head) => {
      settle();
      if (head.length > 0) stream.unshift(head);
      resolve(stream);
    });
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => {
        // Whoever answers there may be hostile: an error body is small.
        if (chunks.length < maxErrorChunks) chunks.push(chunk);
        else response.destroy();
      });
      response.on('close', () => {
        settle();
        socket.destroy();
        reject(runnerFailure(parseJson(Buffer.concat(chunks).toString('utf8')), response.statusCode ?? 500));
      });
    });
    call.on('error', (cause) => {
      settle();
      reject(
        signal.aborted ? (signal.reason as Error) : new BerthError('sandbox_lost', 'the runner hung up', { cause }),
      );
    });
    call.end();
  });
}

const maxErrorChunks = 16;

function parseJson(text: string): unknown {
  try {
    return parseShallowJson(text);
  } catch {
    return null;
  }
}
