import { Worker } from 'node:worker_threads';
import { BerthError, isErrorCode } from '../../protocol/errors.ts';
import type { UnpackedLayer, UnpackLimits } from './archive/unpack.ts';
import type { LayerTree } from './assemble.ts';
import type { DiskTask, DiskTaskEnd } from './disk-worker.ts';

/** Thousands of files at a time, off the thread that serves requests. */
export const diskWork = {
  unpack: (path: string, root: string, limits: UnpackLimits, signal: AbortSignal) =>
    inWorker({ do: 'unpack', path, root, limits }, signal) as Promise<UnpackedLayer>,
  assemble: async (layers: readonly LayerTree[], root: string, signal: AbortSignal): Promise<void> => {
    await inWorker({ do: 'assemble', layers, root }, signal);
  },
};

/** Rejects with the signal's reason when it fires, after the thread has ended. */
async function inWorker(task: DiskTask, signal: AbortSignal): Promise<unknown> {
  signal.throwIfAborted();
  const worker = new Worker(new URL('./disk-worker.ts', import.meta.url), {
    workerData: task,
    // Of this process's options, those of a test runner are not the thread's.
    execArgv: ['--disable-warning=ExperimentalWarning'],
    env: {},
  });
  const onAbort = () => void worker.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const end = await new Promise<DiskTaskEnd | null>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => resolve(null));
    });
    signal.throwIfAborted();
    if (end === null) throw new BerthError('internal', 'the thread that works on the disk ended by itself');
    if ('result' in end) return end.result;
    throw failureOf(end);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await worker.terminate();
  }
}

function failureOf({ code, message, field }: Extract<DiskTaskEnd, { message: string }>): Error {
  if (isErrorCode(code)) return new BerthError(code, message, field === undefined ? {} : { field });
  if (code === 'ENOSPC' || code === 'EDQUOT') return new BerthError('resource_exhausted', 'the disk for templates is full');
  return new BerthError('upstream_failed', `the layer could not be written: ${message}`, { context: { errno: code } });
}
