import { BerthError } from '../../protocol/errors.ts';
import { freeBytesAt } from '../free-bytes.ts';

/** Left to those that run: a full disk hurts all of them. */
const reserveBytes = 1024 ** 3;
const lookMs = 1000;

/** A signal that also fires, with `resource_exhausted`, when what is free of a directory's disk falls below a reserve. */
export async function guardSpace<T>(directory: string, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const full = new AbortController();
  const look = async () => {
    const freeBytes = await freeBytesAt(directory);
    if (freeBytes < reserveBytes) {
      full.abort(new BerthError('resource_exhausted', 'the disk for templates is full', { context: { freeBytes } }));
    }
  };
  await look();
  const timer = setInterval(() => void look().catch((error: unknown) => full.abort(error)), lookMs);
  try {
    const both = AbortSignal.any([signal, full.signal]);
    both.throwIfAborted();
    return await run(both);
  } finally {
    clearInterval(timer);
  }
}
