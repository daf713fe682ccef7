import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mustRun } from '../../run-command.ts';
import type { SandboxParts } from './sandbox.ts';

/**
 * Freezing a sandbox for a moment, without anyone's asking for a pause. A file, `held`, tells that from a pause: who finds it
 * after a crash lets the sandbox go on.
 */
export async function hold(parts: SandboxParts, signal: AbortSignal): Promise<void> {
  writeFileSync(parts.paths.held, '');
  try {
    await parts.freezer.freeze(signal);
  } catch (error) {
    letGo(parts);
    throw error;
  }
}

/** No-op when it is not held. Must not be called on one that is paused. */
export function letGo(parts: SandboxParts): void {
  parts.freezer.thaw();
  rmSync(parts.paths.held, { force: true });
}

/** Runs `copy` while no process of the sandbox moves, so that the copy is of one instant. */
export async function atRest<T>(parts: SandboxParts, signal: AbortSignal, copy: () => Promise<T>): Promise<T> {
  const moving = parts.freezer.state() !== 'frozen' && !(await parts.cgroup.isEmpty());
  // A host without a freezer copies what is there at one instant of the file system, if not of the programs.
  if (!moving || !parts.freezer.available) return copy();
  // What was written before is on disk by then, so that the copy, which waits for it, holds nobody up for long.
  await mustRun('sync', ['--file-system', parts.disk.upper], { signal });
  await hold(parts, signal);
  try {
    return await copy();
  } finally {
    letGo(parts);
  }
}

/** In which time the kernel has frozen what can be frozen. */
const settleMs = 100;

/** After a crash: one that was held goes on, and so does one whose freezing never came to an end. */
export async function recoverStillness(parts: SandboxParts): Promise<void> {
  if (existsSync(parts.paths.held)) return letGo(parts);
  if (parts.freezer.state() !== 'freezing') return;
  await sleep(settleMs);
  if (parts.freezer.state() === 'freezing') parts.freezer.thaw();
}
