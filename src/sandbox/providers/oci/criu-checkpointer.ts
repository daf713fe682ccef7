import { readFileSync, readdirSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import type { Criu } from '../../criu/criu.ts';
import { hostEnv, runCommand, type CommandResult } from '../../run-command.ts';
import type { Checkpointer } from './checkpointer.ts';
import { comeToRest } from './come-to-rest.ts';
import type { ImageLock } from './image-lock.ts';
import { dumpIdentity } from './criu-identity.ts';
import { tail } from '../../tail-file.ts';
import type { RuntimeCli } from './runtime-cli.ts';
import type { SandboxParts } from './sandbox.ts';

const commonConfig = [
  // No firewall rules while connections are saved: all processes of the network, which has only loopback, are frozen.
  // Setting up and taking down costs 60 to 90 ms each way.
  'network-lock skip',
  // Errors and warnings. Everything is some 5,000 lines for a small sandbox, each written by itself.
  'verbosity=2',
];
/** For finding and stopping the processes, which takes milliseconds. */
const seizeTimeoutSeconds = 20;
/** Beyond it the processes are ended, which ends CRIU too. */
const dumpDeadlineMs = 280_000;
const restoreDeadlineMs = 120_000;
/** After an error CRIU may wait for ever for a process that is not there. */
const restoreFailedMs = 2000;
const lookMs = 500;
const logBytes = 64 * 1024;

/** `runc checkpoint` and `runc restore`. CRIU reads more of what it is told from the file that an annotation in config.json names. */
export function createCriuCheckpointer(criu: Criu, runtime: RuntimeCli): Checkpointer {
  let prepared: Promise<string> | null = null;

  /** The program for `runc --criu`. */
  function wrapper(): Promise<string> {
    prepared ??= writeWrapper(join(runtime.root, '..', 'criu'), criu.argv).catch((error: unknown) => {
      prepared = null;
      throw error;
    });
    return prepared;
  }

  return {
    name: `CRIU ${criu.version}`,

    async settle(parts, paused, signal) {
      const isMidway = async () => (await parts.cgroup.processes()).some(isStartingAnother);
      await comeToRest(parts, paused, isMidway, signal);
    },

    unsettle: () => Promise.resolve(),

    async describe(parts) {
      await refuseTraced(parts);
      const init = await parts.cgroup.init();
      const info = init === null ? '' : await readFile(`/proc/${init}/fdinfo/1`, 'utf8');
      const mount = /^mnt_id:\s*(\d+)/m.exec(info)?.[1];
      const inode = /^ino:\s*(\d+)/m.exec(info)?.[1];
      if (mount === undefined || inode === undefined) {
        throw new BerthError('upstream_failed', `the kernel does not say what the init of ${parts.id} prints to`);
      }
      // The log is outside the sandbox's mounts, so it is given anew at restore, under this name of CRIU's.
      return { logFile: `file[${Number(mount).toString(16)}:${Number(inode).toString(16)}]` };
    },

    async dump(parts, directory, { logFile }, lock) {
      const identity = await dumpIdentity();
      await writeConfig(parts, [
        `external ${logFile}`,
        `timeout ${seizeTimeoutSeconds}`,
        ...commonConfig,
        ...identity.config,
      ]);
      await run('checkpoint', parts, directory, lock, { BERTH_CRIU_AS: identity.command }, ['--leave-running']);
    },

    async restore(parts, directory, { logFile }, lock, connectionScript) {
      await writeConfig(parts, [`inherit-fd fd[9]:${logFile}`, ...commonConfig]);
      await addNetworkHook(parts, connectionScript);
      const more = ['--detach', '--bundle', parts.paths.directory];
      await run('restore', parts, directory, lock, { BERTH_CRIU_LOG: parts.disk.log }, more);
    },
  };

  async function run(
    operation: string,
    parts: SandboxParts,
    directory: string,
    lock: ImageLock,
    env: Readonly<Record<string, string>>,
    more: readonly string[],
  ): Promise<void> {
    // Sockets to clients outside, connections within, and locks on files are part of an image.
    const flags = [
      '--ext-unix-sk',
      '--tcp-established',
      '--file-locks',
      '--image-path',
      directory,
      '--work-path',
      directory,
    ];
    const argv = runtime.command(parts.id, ['--criu', await wrapper(), operation, ...flags, ...more, parts.id]);
    const logFile = join(directory, operation === 'restore' ? 'restore.log' : 'dump.log');
    const readErrors = async () => errorsIn((await tail(logFile, logBytes)) ?? '');
    let failedMs = Infinity;
    const result = await runLocked(parts, lock, argv, env, async (elapsedMs) => {
      if (operation !== 'restore') return elapsedMs > dumpDeadlineMs;
      if (failedMs === Infinity && (await readErrors()).length > 0) failedMs = elapsedMs;
      return elapsedMs > restoreDeadlineMs || elapsedMs > failedMs + restoreFailedMs;
    });
    if (result?.exitCode === 0) return;
    const otherwise =
      result === null ? 'it took too long' : ((await runtime.lastError(parts.id)) ?? `exit ${result.exitCode}`);
    throw failure(operation, await readErrors(), otherwise);
  }
}

/**
 * Runs a command to its end, with the lock in its hands and in CRIU's, which inherits it. Neither Berth's end nor an abort
 * ends it: whoever comes next waits for the lock. `isOverdue` is asked now and then; when it says so the processes of the sandbox are
 * ended, and with them CRIU: it is one of them when it restores, and fails without them when it dumps. Then resolves to `null`.
 */
async function runLocked(
  parts: SandboxParts,
  lock: ImageLock,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  isOverdue: (elapsedMs: number) => Promise<boolean>,
): Promise<CommandResult | null> {
  const startedMs = performance.now();
  let overdue = false;
  const timer = setInterval(() => {
    const end = async () => {
      if (!(await isOverdue(performance.now() - startedMs))) return;
      overdue = true;
      await parts.cgroup.kill();
    };
    // One that fails is followed by the next.
    end().catch(() => {});
  }, lookMs);
  try {
    const [program, ...args] = argv as [string, ...string[]];
    const result = await runCommand(program, args, {
      env: { ...hostEnv, ...env, XDG_RUNTIME_DIR: runtimeDir },
      detached: true,
      // Not pipes: restored processes would keep them open. The runtime gives CRIU a descriptor 3 of its own.
      stdio: ['ignore', 'ignore', 'ignore', 'ignore', lock.fd],
    });
    return overdue ? null : result;
  } finally {
    clearInterval(timer);
  }
}

/** The kernel's functions that a task waits in, in releases since 4.19, until its child has started a program or ended. */
const vforkWaits: ReadonlySet<string> = new Set(['kernel_clone', 'wait_for_vfork_done', '_do_fork']);

/**
 * Whether one of its threads has called `vfork` (as shells and `posix_spawn` do) and waits for the child, which has not yet
 * started its program. CRIU stops the child and then waits for the parent to stop, which waits for the child.
 */
function isStartingAnother(pid: number): boolean {
  try {
    const tasks = `/proc/${pid}/task`;
    return readdirSync(tasks).some((task) => vforkWaits.has(readFileSync(`${tasks}/${task}/wchan`, 'utf8')));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return false;
    throw error;
  }
}

/** CRIU waits for a process that a debugger in the sandbox has, until it gives up. */
async function refuseTraced(parts: SandboxParts): Promise<void> {
  for (const pid of await parts.cgroup.processes()) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    if (!/^TracerPid:\s*[1-9]/m.test(status)) continue;
    const name = /^Name:\s*(.*)$/m.exec(status)?.[1] ?? String(pid);
    throw new BerthError(
      'upstream_failed',
      `checkpoint failed: the process ${name} is being traced, by a debugger or strace`,
    );
  }
}

/** Where CRIU keeps what it has found out about this kernel, which takes it 60 ms. Gone after a reboot. */
const runtimeDir = '/run/berth';

/**
 * CRIU makes the network anew, without an interface to the outside and with `lo` down: connections could not be made
 * again, nor could anyone connect. The runtime runs this hook when the network is there and no process yet.
 */
async function addNetworkHook(parts: SandboxParts, connectionScript: string): Promise<void> {
  const config = JSON.parse(await readFile(parts.paths.config, 'utf8')) as Record<string, unknown>;
  const script = `read -r state; pid=\${state#*\\"pid\\":}; set -- "\${pid%%,*}"\n${connectionScript}`;
  const hook = { path: '/bin/sh', args: ['sh', '-c', script], env: [`PATH=${hostEnv['PATH']}`] };
  const beside = `${parts.paths.config}.new`;
  await writeFile(beside, JSON.stringify({ ...config, hooks: { createRuntime: [hook] } }), { mode: 0o600 });
  await rename(beside, parts.paths.config);
}

async function writeConfig(parts: SandboxParts, lines: readonly string[]): Promise<void> {
  await writeFile(parts.paths.criuConfig, `${lines.join('\n')}\n`);
}

/** A script: it opens `BERTH_CRIU_LOG` as descriptor 9 (what the restored processes print to) and runs CRIU as `BERTH_CRIU_AS` says. */
async function writeWrapper(path: string, argv: readonly string[]): Promise<string> {
  const quoted = argv.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
  const script = [
    '#!/bin/sh',
    'if [ -n "$BERTH_CRIU_LOG" ]; then exec 9>>"$BERTH_CRIU_LOG"; fi',
    `exec $BERTH_CRIU_AS ${quoted} "$@"`,
  ];
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(path, `${script.join('\n')}\n`);
  await chmod(path, 0o755);
  return path;
}

function errorsIn(log: string): string[] {
  const lines = log.split('\n').filter((line) => line.includes('Error ('));
  // The limit on open files that it would like for itself, and does well without.
  const telling = lines.filter((line) => !line.includes("Can't setup RLIMIT_NOFILE"));
  return telling.map((line) => line.replace(/^\([\d.]+\)\s*/, ''));
}

function failure(operation: string, errors: readonly string[], otherwise: string): BerthError {
  const code = errors.some((line) => /No space left|Disk quota/.test(line)) ? 'resource_exhausted' : 'upstream_failed';
  return new BerthError(code, `${operation} failed: ${errors.slice(0, 3).join('; ') || otherwise}`, {
    context: { errors: errors.slice(0, 20) },
  });
}
