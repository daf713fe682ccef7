import { parentPort, workerData } from 'node:worker_threads';
import { BerthError } from '../../protocol/errors.ts';
import { decompressed } from './archive/decompressed.ts';
import { unpack, type UnpackLimits } from './archive/unpack.ts';
import { assemble, type LayerTree } from './assemble.ts';

/** What the thread of `disk-work.ts` is given, and what it answers. */
export type DiskTask =
  | { do: 'unpack'; path: string; root: string; limits: UnpackLimits }
  | { do: 'assemble'; layers: readonly LayerTree[]; root: string };
export type DiskTaskEnd = { result: unknown } | { code: string; message: string; field?: string };

async function run(task: DiskTask): Promise<unknown> {
  if (task.do === 'assemble') return assemble(task.layers, task.root);
  return unpack(decompressed(task.path), task.root, task.limits);
}

function endOf(error: unknown): DiskTaskEnd {
  if (error instanceof BerthError) {
    return { code: error.code, message: error.message, ...(error.field === undefined ? {} : { field: error.field }) };
  }
  const { code, message } = error as NodeJS.ErrnoException;
  return { code: code ?? 'internal', message };
}

parentPort!.postMessage(
  await run(workerData as DiskTask).then(
    (result): DiskTaskEnd => ({ result: result ?? null }),
    endOf,
  ),
);
