import { closeSync, constants, existsSync, openSync, rmSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import { restFileSuffix } from '../../../protocol/runner-launch.ts';
import { hostEnv, runCommand } from '../../run-command.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { ImageLock } from './image-lock.ts';
import { socketsOf } from './outer-streams.ts';
import { guestRunPath, socketFileName } from '../_shared/runner-process.ts';
import { readRecord, type SandboxRecord } from './record.ts';
import { connectRunnerSocket } from '../_shared/runner-socket.ts';
import type { RuntimeCli } from './runtime-cli.ts';
import type { SandboxParts } from './sandbox.ts';

/** Beyond it the processes are ended, which ends the command too. */
const dumpDeadlineMs = 280_000;
const restoreDeadlineMs = 120_000;
const restMs = 3000;
const lookMs = 2;

/**
 * `runsc checkpoint` and `runsc restore`. The sandbox's kernel is itself a process and writes itself, so it is not frozen
 * by the cgroup, but told to let none of its processes run. What it cannot write is a socket that the host
 * knows: the runner takes its own away for the time.
 */
export function createGvisorCheckpointer(version: string, runtime: RuntimeCli): Checkpointer {
  async function run(parts: SandboxParts, args: readonly string[], signal?: AbortSignal): Promise<void> {
    const [program, ...rest] = runtime.command(parts.id, [...args, parts.id]);
    const result = await runCommand(program, rest, signal === undefined ? {} : { signal });
    if (result.exitCode !== 0) throw failure(args[0]!, result.stderr);
  }

  return {
    name: `gVisor ${version}`,

    async settle(parts, _paused, signal) {
      parts.freezer.thaw();
      makeRestFile(parts);
      const { runnerToken } = await recordOf(parts);
      await askForRest(parts, runnerToken, signal);
      await awaitRest(parts, signal);
      await run(parts, ['pause'], signal);
    },

    async unsettle(parts) {
      rmSync(restFile(parts), { force: true });
      // Fails where it was not paused, or where there is none any more.
      await run(parts, ['resume']).catch(() => {});
    },

    describe: () => Promise.resolve({ version }),

    async dump(parts, directory, _description, lock) {
      const args = ['checkpoint', '--compression', 'none', '--image-path', directory, '--leave-running', parts.id];
      await runLocked(parts, lock, runtime.command(parts.id, args), 'ignore', dumpDeadlineMs);
    },

    async restore(parts, directory, description, lock) {
      if (description['version'] !== version) {
        throw new BerthError(
          'upstream_failed',
          `the image is of gVisor ${description['version']}, and this is ${version}`,
        );
      }
      const { limits } = await recordOf(parts);
      await parts.cgroup.make(limits);
      rmSync(restFile(parts), { force: true });
      const args = ['restore', '--detach', '--image-path', directory, '--bundle', parts.paths.directory, parts.id];
      const command = runtime.inCgroup(parts.cgroup.directories, runtime.command(parts.id, args));
      const log = await open(parts.disk.log, 'a', 0o600);
      try {
        await runLocked(parts, lock, command, log.fd, restoreDeadlineMs);
      } finally {
        await log.close();
      }
    },
  };

  /** Runs a command to its end with the lock in its hands, also when Berth ends; see `ImageLock`. */
  async function runLocked(
    parts: SandboxParts,
    lock: ImageLock,
    command: readonly string[],
    output: number | 'ignore',
    deadlineMs: number,
  ): Promise<void> {
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      // One that does not end is told by whoever ends the sandbox.
      parts.cgroup.kill().catch(() => {});
    }, deadlineMs);
    try {
      const [program, ...args] = command as [string, ...string[]];
      const result = await runCommand(program, args, {
        env: hostEnv,
        detached: true,
        stdio: ['ignore', output, output, lock.fd],
      });
      if (result.exitCode === 0) return;
      const reason = overdue ? 'it took too long' : await runtime.lastError(parts.id);
      throw failure(args.includes('restore') ? 'restore' : 'checkpoint', reason ?? `exit ${result.exitCode}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

function failure(operation: string, reason: string): BerthError {
  const code = /no space left|disk quota/i.test(reason) ? 'resource_exhausted' : 'upstream_failed';
  // What follows the first line is the stack of gVisor's kernel.
  return new BerthError(code, `${operation} failed: ${reason.trim().split('\n')[0]}`);
}

async function recordOf(parts: SandboxParts): Promise<SandboxRecord> {
  const record = await readRecord(parts.paths.record);
  if (record === null) throw new BerthError('conflict', `sandbox ${parts.id} is broken: it can only be destroyed`);
  return record;
}

const restFile = (parts: SandboxParts) => join(parts.disk.run, `${socketFileName}${restFileSuffix}`);

/** The directory is writable by hostile code: whatever has the name goes, and no link is followed. */
function makeRestFile(parts: SandboxParts): void {
  rmSync(restFile(parts), { recursive: true, force: true });
  closeSync(
    openSync(restFile(parts), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o444),
  );
}

async function askForRest(parts: SandboxParts, token: string, signal: AbortSignal): Promise<void> {
  const socket = await connectRunnerSocket(parts.disk.run, signal);
  const headers = { authorization: `Bearer ${token}`, connection: 'close' };
  await new Promise<void>((resolve, reject) => {
    const call = request(
      { method: 'POST', path: '/rest', headers, createConnection: () => socket, signal },
      (response) => {
        response.resume();
        if (response.statusCode === 204) resolve();
        else reject(new BerthError('upstream_failed', `the runner does not rest: it answers ${response.statusCode}`));
      },
    );
    call.on('error', reject);
    call.end();
  }).finally(() => socket.destroy());
}

/** Until the sandbox's kernel has no socket of the runner's any more. */
async function awaitRest(parts: SandboxParts, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + restMs;
  while (await hasRunnerSocket(parts)) {
    signal.throwIfAborted();
    if (performance.now() > deadline) {
      throw new BerthError('conflict', `sandbox ${parts.id} is being talked to`, { context: { id: parts.id } });
    }
    await sleep(lookMs);
  }
}

/** A connected one, or the listening one, whose name goes with it: gVisor's file server holds on to that when nobody listens any more. */
async function hasRunnerSocket(parts: SandboxParts): Promise<boolean> {
  if (existsSync(join(parts.disk.run, socketFileName))) return true;
  const pids = await parts.cgroup.processes();
  const tables = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/net/unix`, 'utf8').catch(() => '')));
  const path = `${guestRunPath}/${socketFileName}`;
  const rows = tables.flatMap((table) => table.split('\n').map((line) => line.trim().split(/\s+/)));
  const connected = new Set(rows.filter((row) => row[5] === '03' && row[7] === path).map((row) => row[6]));
  const held = await Promise.all(pids.map(socketsOf));
  return held.flat().some((inode) => connected.has(inode));
}
