import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import type { CgroupLayout } from '../../host/cgroups.ts';

/**
 * Holds every process of a cgroup still, memory in place. Written to the kernel's files directly, which takes
 * a tenth of what starting a runtime's `pause` does. On v1 the controller `freezer`, on v2 part of every cgroup.
 */
export interface Freezer {
  /** Whether this host can. */
  readonly available: boolean;
  /** What the kernel says now; `false` when the cgroup is gone. Synchronous: one small read. */
  isFrozen(): boolean;
  /** Resolves when every process stands still. Undone when it cannot be reached. No-op when frozen. */
  freeze(signal?: AbortSignal): Promise<void>;
  /** No-op when nothing is frozen or the cgroup is gone. */
  thaw(): void;
}

const freezeDeadlineMs = 10_000;
/** On v1 a process that waits for a frozen one (vfork) can hold FREEZING up for ever; a thaw in between lets it pass. */
const retryAfterMs = 200;

export function openFreezer(layout: CgroupLayout, path: string): Freezer {
  const v2 = layout.mode === 'v2';
  const mount = v2 ? layout.mounts[0] : layout.controllers.get('freezer');
  const directory = mount === undefined ? null : join(mount, path);
  const control = directory === null ? null : join(directory, v2 ? 'cgroup.freeze' : 'freezer.state');
  const state = directory === null ? null : join(directory, v2 ? 'cgroup.events' : 'freezer.state');

  function isFrozen(): boolean {
    const text = state === null ? null : readOptional(state);
    return text !== null && (v2 ? /^frozen 1$/m.test(text) : text.startsWith('FROZEN'));
  }

  function set(frozen: boolean): void {
    if (control === null || !existsSync(control)) return;
    writeFileSync(control, v2 ? (frozen ? '1' : '0') : frozen ? 'FROZEN' : 'THAWED', { flag: 'r+' });
  }

  return {
    available: control !== null,
    isFrozen,
    thaw: () => set(false),
    async freeze(signal) {
      if (control === null) throw new BerthError('unsupported', 'this host has no cgroup freezer');
      const startedMs = performance.now();
      let retryMs = startedMs + retryAfterMs;
      set(true);
      for (let waitMs = 0; !isFrozen(); waitMs = Math.min(waitMs + 1, 10)) {
        if (signal?.aborted === true || performance.now() - startedMs > freezeDeadlineMs) {
          set(false);
          signal?.throwIfAborted();
          throw new BerthError('upstream_failed', `the processes of ${path} do not freeze`);
        }
        if (!v2 && performance.now() > retryMs) {
          set(false);
          retryMs = performance.now() + retryAfterMs;
        }
        await (waitMs === 0 ? Promise.resolve() : sleep(waitMs));
        if (!v2) set(true);
      }
    },
  };
}

function readOptional(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV') return null;
    throw error;
  }
}
