import { createWriteStream } from 'node:fs';
import { chown, chmod, open, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { BerthError } from '../../../protocol/errors.ts';
import type { Qmp } from './qmp.ts';

const migration = z.looseObject({ status: z.string().optional(), 'error-desc': z.string().optional() });
/** Between two looks at how far it is: a whole one takes a tenth of a second. */
const lookMs = 10;

/**
 * Writes a machine's memory and the state of its devices to a file, synced; the machine must stand still, and does so
 * afterwards. It sends them over a socket that is there only for this: it may itself neither write files nor start programs.
 * On a failure or an abort the file is gone and the machine can go on.
 */
export async function saveMemory(
  qmp: Qmp,
  socketPath: string,
  uid: number,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const server = createServer();
  try {
    const written = receive(server, file);
    // Its failure is told below, with QEMU's own reason first.
    written.catch(() => {});
    await listen(server, socketPath, uid);
    await qmp.run('migrate-set-parameters', { 'max-bandwidth': 64 * 1024 ** 3 });
    await qmp.run('migrate', { uri: `unix:${socketPath}` });
    try {
      await completed(qmp, signal);
      await written;
    } catch (error) {
      await qmp.run('migrate_cancel').catch(() => {});
      throw error;
    }
    const handle = await open(file, 'r');
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    server.close();
    await rm(socketPath, { force: true });
  }
}

function receive(server: Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('connection', (socket: Socket) => {
      pipeline(socket, createWriteStream(file, { mode: 0o600, highWaterMark: 1024 ** 2 })).then(resolve, (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'ENOSPC' || error.code === 'EDQUOT'
            ? new BerthError('resource_exhausted', 'the disk is full: the memory cannot be written', { cause: error })
            : error,
        ),
      );
    });
  });
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

async function completed(qmp: Qmp, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { status, 'error-desc': reason } = migration.parse(await qmp.run('query-migrate'));
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled') {
      throw new BerthError('upstream_failed', `QEMU could not write the memory: ${reason ?? status}`);
    }
    await sleep(lookMs);
  }
}

/** Resolves when a machine that was started with a memory has taken it in, and stands still. */
export async function memoryLoaded(qmp: Qmp, signal: AbortSignal): Promise<void> {
  const state = z.looseObject({ status: z.string() });
  for (;;) {
    signal.throwIfAborted();
    const { status } = state.parse(await qmp.run('query-status'));
    if (status !== 'inmigrate') return;
    await sleep(lookMs);
  }
}
