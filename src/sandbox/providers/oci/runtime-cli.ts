import { existsSync } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import type { FoundRuntime } from '../../host/runtimes.ts';
import { unmountBelow } from '../../mount-table.ts';
import { runCommand } from '../../run-command.ts';
import { tail } from '../../tail-file.ts';

export interface RunRequest {
  id: string;
  bundle: string;
  /** Takes what the sandbox's init and runner print. */
  logFile: string;
  /** Made beforehand for a runtime that does not place itself; see `startsInCgroup`. */
  cgroupDirectories: readonly string[];
}

/** The OCI runtime's command line. */
export interface RuntimeCli {
  readonly name: string;
  /** Where the runtime keeps its state, a directory for each sandbox. */
  readonly root: string;
  /** Whether the caller must make the cgroup, with its limits, because the runtime leaves cgroups alone. */
  readonly startsInCgroup: boolean;
  /** The whole command line of another of its operations on a sandbox; what it has to say goes to a log of its own. */
  command(id: string, args: readonly string[]): [string, ...string[]];
  /** What that said last, when it failed. */
  lastError(id: string): Promise<string | null>;
  /** Starts the sandbox in the background; resolves when its init runs. */
  run(request: RunRequest, signal: AbortSignal): Promise<void>;
  /** A command of this runtime, as it must be started so that its processes are in the cgroup when `startsInCgroup`. */
  inCgroup(directories: readonly string[], command: readonly string[]): readonly string[];
  /** Drops the runtime's state of a sandbox whose processes have ended. No-op when there is none. */
  forget(id: string): Promise<void>;
  /** As `forget`, of one whose processes have just ended: without starting the runtime, where that is not needed. */
  forgetEnded(id: string): Promise<void>;
  /** Whether the runtime has written that it runs, which it does the moment before processes do. */
  knows(id: string): boolean;
}

/** Of gVisor: system calls caught without KVM, files on the host's disk and not in its memory, sockets in bind mounts. */
const runscFlags = ['--platform=systrap', '--ignore-cgroups', '--network=none', '--overlay2=none', '--host-uds=create'];

export function createRuntimeCli(runtime: FoundRuntime, stateDir: string): RuntimeCli {
  const root = join(stateDir, runtime.name);
  const gvisor = runtime.name === 'runsc';

  function globalArgs(id: string): { args: string[]; log: string } {
    const log = join(stateDir, `${id}.log`);
    const target = runtime.name === 'crun' ? `file:${log}` : log;
    return { args: ['--root', root, '--log', target, '--log-format', 'json', ...(gvisor ? runscFlags : [])], log };
  }

  /** gVisor's are files: that of the container, its lock, and where its kernel listens. */
  function statePaths(id: string): string[] {
    if (!gvisor) return [join(root, id)];
    const container = join(root, `${id}_sandbox:${id}`);
    return [`${container}.state`, `${container}.lock`, join(root, `runsc-${id}.sock`)];
  }

  /** A start that was killed leaves state that the runtime itself does not recognise. */
  async function removeState(id: string): Promise<void> {
    // A restore that was killed leaves the root mounted here a second time.
    if (existsSync(join(root, id))) await unmountBelow(join(root, id));
    for (const path of statePaths(id)) await rm(path, { recursive: true, force: true });
    await rm(globalArgs(id).log, { force: true });
  }

  return {
    name: runtime.name,
    root,
    startsInCgroup: gvisor,
    command: (id, args) => [runtime.path, ...globalArgs(id).args, ...args],
    lastError: (id) => lastError(globalArgs(id).log),
    inCgroup: (directories, command) => (gvisor ? inCgroup(directories, command) : command),
    async run({ id, bundle, logFile, cgroupDirectories }, signal) {
      const { args, log } = globalArgs(id);
      await rm(log, { force: true });
      const output = await open(logFile, 'w', 0o600);
      try {
        const command = [runtime.path, ...args, 'run', '--detach', '--bundle', bundle, id];
        const result = await runCommand(
          // If Berth is killed, a half-done start ends with it instead of finishing unseen.
          'setpriv',
          ['--pdeathsig', 'KILL', '--', ...this.inCgroup(cgroupDirectories, command)],
          { signal, stdio: ['ignore', output.fd, output.fd] },
        );
        if (result.exitCode !== 0) {
          const reason = (await lastError(log)) ?? (await tail(logFile)) ?? `exit ${result.exitCode}`;
          throw new BerthError('upstream_failed', `${runtime.name} could not start the sandbox: ${reason}`, {
            context: { exitCode: result.exitCode },
          });
        }
      } finally {
        await output.close();
      }
    },
    async forget(id) {
      const { args } = globalArgs(id);
      if (existsSync(statePaths(id)[0]!) && !gvisor) await runCommand(runtime.path, [...args, 'delete', '--force', id]);
      await removeState(id);
    },
    forgetEnded: removeState,
    knows: (id) => existsSync(gvisor ? statePaths(id)[0]! : join(root, id, 'state.json')),
  };
}

/** A shell that moves itself, and so what it becomes, into the cgroup. */
function inCgroup(directories: readonly string[], command: readonly string[]): string[] {
  const script = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"';
  return ['/bin/sh', '-c', script, 'sh', ...directories, '--', ...command];
}

async function lastError(log: string): Promise<string | null> {
  const text = await readFile(log, 'utf8').catch(() => '');
  // gVisor ends no line.
  for (const line of text
    .trim()
    .split(/\n|(?<=\})(?=\{"msg":)/)
    .toReversed()) {
    try {
      const entry = JSON.parse(line) as { level?: string; msg?: string };
      if (entry.level === 'error' && entry.msg !== undefined) return entry.msg;
    } catch {
      // Not a line of JSON: crun prints plain text when it fails early.
    }
  }
  return text.trim() === '' ? null : text.trim().slice(-1000);
}
