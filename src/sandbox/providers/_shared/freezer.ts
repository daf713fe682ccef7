import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import type { CgroupLayout } from '../../host/cgroups.ts';

/**
 * Holds every process of a cgroup still, memory in place. Written to the kernel's files directly, which takes
 * a tenth of what starting a runtime's `pause` does. On v1 the controller `freezer`, on v2 part of every cgroup.
 *
 * - `thawed`: processes run. Also what is told of a cgroup that is gone.
 * - `freezing`: asked to stand still, and at least one does not yet. Only inside `freeze`, or after a crash in it.
 * - `frozen`: every process stands still.
 */
export interface Freezer {
  /** Whether this host can. */
  readonly available: boolean;
  /** What the kernel says now. Synchronous: one or two small reads. */
  state(): FreezerState;
  /** Resolves when every process stands still. Undone when it cannot be reached or the signal fires. No-op when frozen. */
  freeze(signal?: AbortSignal): Promise<void>;
  /** No-op when nothing is frozen or the cgroup is gone. */
  thaw(): void;
}

export type FreezerState = 'thawed' | 'freezing' | 'frozen';

const freezeDeadlineMs = 10_000;
/** On v1 a process that waits for a frozen one (vfork) can hold FREEZING up for ever; a thaw in between lets it pass. */
const retryAfterMs = 200;

export function openFreezer(layout: CgroupLayout, path: string): Freezer {
  const v2 = layout.mode === 'v2';
  const mount = v2 ? layout.mounts[0] : layout.controllers.get('freezer');
  const directory = mount === undefined ? null : join(mount, path);
  const control = directory === null ? null : join(directory, v2 ? 'cgroup.freeze' : 'freezer.state');

  function state(): FreezerState {
    const text = control === null ? null : readOptional(control);
    if (text === null) return 'thawed';
    if (!v2) return text.startsWith('FROZEN') ? 'frozen' : text.startsWith('FREEZING') ? 'freezing' : 'thawed';
    const events = readOptional(join(directory!, 'cgroup.events')) ?? '';
    return /^frozen 1$/m.test(events) ? 'frozen' : text.startsWith('1') ? 'freezing' : 'thawed';
  }

  function set(frozen: boolean): void {
    if (control === null || !existsSync(control)) return;
    try {
      writeFileSync(control, v2 ? (frozen ? '1' : '0') : frozen ? 'FROZEN' : 'THAWED', { flag: 'r+' });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  return {
    available: control !== null,
    state,
    thaw: () => set(false),
    async freeze(signal) {
      if (control === null) throw new BerthError('unsupported', 'this host has no cgroup freezer');
      const startedMs = performance.now();
      let retryMs = startedMs + retryAfterMs;
      set(true);
      for (let waitMs = 0; state() !== 'frozen'; waitMs = Math.min(waitMs + 1, 10)) {
        if (signal?.aborted === true || performance.now() - startedMs > freezeDeadlineMs) {
          set(false);
          signal?.throwIfAborted();
          throw new BerthError('upstream_failed', `the processes of ${path} do not freeze`);
        }
        if (!existsSync(control)) throw new BerthError('sandbox_lost', `${path} ended while it was being frozen`);
        if (!v2 && performance.now() > retryMs) {
          set(false);
          retryMs = performance.now() + retryAfterMs;
        }
        await (waitMs === 0 ? Promise.resolve() : sleep(waitMs));
        // On v1 one that was forked in between is caught only by asking again.
        if (!v2) set(true);
      }
    },
  };
}

function readOptional(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV';
}
