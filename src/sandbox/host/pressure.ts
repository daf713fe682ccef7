import { readFile } from 'node:fs/promises';
import { freeBytesAt } from '../free-bytes.ts';

/**
 * What this machine is short of, so that nothing that could wait is begun; `null` when of nothing. `needBytes`: the
 * memory that what is begun may take.
 */
export async function hostPressure(dataDir: string, needBytes: number): Promise<string | null> {
  const [memory, freeBytes] = await Promise.all([readFile('/proc/meminfo', 'utf8'), freeBytesAt(dataDir)]);
  const availableBytes = Number(/^MemAvailable:\s+(\d+) kB/m.exec(memory)?.[1] ?? Infinity) * 1024;
  if (availableBytes < needBytes) return `${toMib(availableBytes)} MiB of memory are available`;
  if (freeBytes < minDiskBytes) return `${toMib(freeBytes)} MiB of the disk are free`;
  return null;
}

/** Twice of what a provider wants to make a sandbox that is asked for. */
const minDiskBytes = 1024 ** 3;

function toMib(sizeBytes: number): number {
  return Math.floor(sizeBytes / 1024 ** 2);
}
