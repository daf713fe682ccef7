import { readFile, readdir, readlink } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import type { SandboxParts } from './sandbox.ts';

/** The streams that this process has open to runners, so that they can be ended before a hibernate. */
export interface OuterStreams {
  add(id: string, socket: Socket): void;
  end(id: string): void;
}

export function createOuterStreams(): OuterStreams {
  const open = new Map<string, Set<Socket>>();
  return {
    add(id, socket) {
      const sockets = open.get(id) ?? new Set();
      open.set(id, sockets.add(socket));
      socket.once('close', () => {
        sockets.delete(socket);
        if (sockets.size === 0 && open.get(id) === sockets) open.delete(id);
      });
    },
    end(id) {
      for (const socket of open.get(id) ?? []) socket.destroy();
    },
  };
}

const letGoMs = 3000;

/**
 * Resolves when no process of the sandbox holds a stream from outside. The kernel counts the inner end of such a stream to the
 * network of whoever connected, where CRIU does not find it, so one that is still open, or that the runner has not closed yet,
 * fails a checkpoint. May leave a frozen sandbox thawed.
 */
export async function awaitOuterStreams(parts: SandboxParts, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + letGoMs;
  while (await hasOuterStream(parts)) {
    signal.throwIfAborted();
    if (performance.now() > deadline) {
      throw new BerthError('conflict', `sandbox ${parts.id} has open streams to the outside`, {
        context: { id: parts.id },
      });
    }
    parts.freezer.thaw();
    await sleep(2);
  }
}

export async function hasOuterStream(parts: SandboxParts): Promise<boolean> {
  const [pids, table] = await Promise.all([parts.cgroup.processes(), readFile('/proc/net/unix', 'utf8')]);
  const outside = new Set(table.split('\n').map((line) => line.trim().split(/\s+/)[6]));
  const held = await Promise.all(pids.map(socketsOf));
  return held.flat().some((inode) => outside.has(inode));
}

/** The inodes of the sockets that it has open. */
export async function socketsOf(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  // A process, and a descriptor, may be gone by the time it is looked at.
  const names = await readdir(directory).catch(() => []);
  const targets = await Promise.all(names.map((name) => readlink(`${directory}/${name}`).catch(() => '')));
  return targets.map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]).filter((inode) => inode !== undefined);
}
