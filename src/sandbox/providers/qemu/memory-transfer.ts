import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { chown, chmod, open, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { BerthError } from '../../../protocol/errors.ts';
import type { Qmp } from './qmp.ts';

const migration = z.looseObject({ status: z.string().optional(), 'error-desc': z.string().optional() });
const runState = z.looseObject({ status: z.string() });
/** Between two looks at how far it is: a whole one takes a tenth of a second. */
const lookMs = 10;
/** In which QEMU has given up a transfer that is called off: it stops at the next page. */
export const callOffMs = 10_000;

/**
 * Writes a machine's memory and the state of its devices to a file, synced; the machine must stand still, and does so
 * afterwards. It sends them over a socket that is there only for this: it may itself neither write files nor start programs.
 *
 * On a failure or an abort the file is gone and the machine can go on: the transfer has been called off and QEMU has let the
 * machine go. One that were still under way would stop the machine again when it is done, whoever had let it go on meanwhile.
 * So `qmp` must outlast `signal`, by `callOffMs`.
 */
export async function saveMemory(
  qmp: Qmp,
  socketPath: string,
  uid: number,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const server = createServer();
  const sink = createWriteStream(file, { mode: 0o600, highWaterMark: 1024 ** 2 });
  try {
    await once(sink, 'open');
    await listen(server, socketPath, uid);
    const written = receive(server, sink);
    // Its failure is told below.
    let unwritten: unknown = null;
    written.catch((error: unknown) => (unwritten = error));
    await qmp.run('migrate-set-parameters', { 'max-bandwidth': 64 * 1024 ** 3 });
    await qmp.run('migrate', { uri: `unix:${socketPath}` });
    try {
      await completed(qmp, signal);
      await written;
    } catch (error) {
      await callOff(qmp);
      // QEMU knows only that nobody takes it any more.
      throw unwritten instanceof BerthError ? unwritten : error;
    }
    await released(qmp);
    await syncFile(file);
    signal.throwIfAborted();
  } catch (error) {
    await ended(sink);
    await rm(file, { force: true });
    throw error;
  } finally {
    server.close();
    await rm(socketPath, { force: true });
  }
}

function receive(server: Server, sink: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('connection', (socket: Socket) => {
      pipeline(socket, sink).then(resolve, (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'ENOSPC' || error.code === 'EDQUOT'
            ? new BerthError('resource_exhausted', 'the disk is full: the memory cannot be written', { cause: error })
            : error,
        ),
      );
    });
  });
}

/** What is still on its way into it is dropped, and what that says. */
async function ended(sink: Writable): Promise<void> {
  sink.on('error', () => {});
  sink.destroy();
  if (!sink.closed) await new Promise<void>((resolve) => sink.once('close', () => resolve()));
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  await handle.sync().finally(() => handle.close());
}

async function listen(server: Server, path: string, uid: number): Promise<void> {
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
  await chown(path, uid, uid);
  await chmod(path, 0o600);
}

const endStates = ['completed', 'failed', 'cancelled', undefined];

async function completed(qmp: Qmp, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { status, 'error-desc': reason } = migration.parse(await qmp.run('query-migrate'));
    if (status === 'completed') return;
    if (endStates.includes(status)) throw new BerthError('upstream_failed', `QEMU could not write the memory: ${reason ?? status}`);
    await sleep(lookMs);
  }
}

/** Resolves when no transfer is under way any more, or the monitor is gone, and with it the machine or the time for this. */
async function callOff(qmp: Qmp): Promise<void> {
  try {
    await qmp.run('migrate_cancel');
    while (!endStates.includes(migration.parse(await qmp.run('query-migrate')).status)) await sleep(lookMs);
    await released(qmp);
  } catch {
    // What called for this is told.
  }
}

/** Resolves when QEMU has done what ends a transfer: until then it refuses to let the machine go on. */
async function released(qmp: Qmp): Promise<void> {
  while (runState.parse(await qmp.run('query-status')).status === 'finish-migrate') await sleep(lookMs);
}

/** Resolves when a machine that was started with a memory has taken it in, and stands still. */
export async function memoryLoaded(qmp: Qmp, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { status } = runState.parse(await qmp.run('query-status'));
    if (status !== 'inmigrate') return;
    await sleep(lookMs);
  }
}
