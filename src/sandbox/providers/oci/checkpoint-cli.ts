import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { hostEnv, runCommand } from '../../run-command.ts';
import type { Criu } from './criu/ensure-criu.ts';
import { dumpIdentity } from './criu/identity.ts';
import type { Installation } from './installation.ts';
import { readFacts, type MemoryImage } from './memory-image.ts';
import { criuConfigPath } from './paths.ts';
import type { SandboxParts } from './sandbox.ts';

/**
 * `runc checkpoint` and `runc restore`. CRIU reads the rest of what it is told from the file that the annotation
 * `org.criu.config` in the sandbox's config.json names.
 */

/** Sockets to clients outside, connections within, and locks on files are part of an image. */
const commonFlags = ['--ext-unix-sk', '--tcp-established', '--file-locks'];
/** Restoring is a matter of a second; CRIU has been seen to wait for ever for a process that could not be restored. */
const restoreDeadlineMs = 60_000;

/**
 * No firewall rules while connections are saved: all processes of the network, which has only loopback, are
 * frozen. Setting up and taking down costs 60 to 90 ms each way.
 */
const networkConfig = 'network-lock skip';

/** Writes the processes to `image.pending` and leaves them frozen as they are. Throws `upstream_failed` with CRIU's last words. */
export async function dump(
  installation: Installation,
  criu: Criu,
  parts: SandboxParts,
  image: MemoryImage,
  logFile: string,
  signal: AbortSignal,
): Promise<void> {
  const identity = await dumpIdentity();
  const config = [`external ${logFile}`, networkConfig, ...identity.config];
  await writeFile(criuConfigPath(parts.paths.directory), `${config.join('\n')}\n`);
  // Not killed with Berth, nor by an abort: a CRIU that is killed in the middle leaves its code in the processes. It
  // holds the lock to its end, and what it leaves is settled by whoever comes next.
  const args = [...runcArgs(installation, criu), 'checkpoint', '--leave-running', ...commonFlags];
  const result = await runCommand(
    'flock',
    ['--no-fork', image.lock, installation.runtime.path, ...args, '--image-path', image.pending, '--work-path', image.pending, parts.id],
    { env: { ...hostEnv, BERTH_CRIU_AS: identity.command } },
  );
  signal.throwIfAborted();
  if (result.exitCode !== 0) throw await failure('checkpoint', join(image.pending, 'dump.log'), result.stderr, result.exitCode);
}

/** Brings the processes back from `image.waking`; the root must be mounted. Resolves when they run. */
export async function restore(
  installation: Installation,
  criu: Criu,
  parts: SandboxParts,
  image: MemoryImage,
  signal: AbortSignal,
): Promise<void> {
  const facts = await readFacts(image.waking);
  if (facts === null) throw new BerthError('upstream_failed', 'the image has lost its description');
  await writeFile(criuConfigPath(parts.paths.directory), `inherit-fd fd[9]:${facts.logFile}\n${networkConfig}\n`);
  const deadline = AbortSignal.timeout(restoreDeadlineMs);
  const args = [
    ...['--pdeathsig', 'KILL', '--', installation.runtime.path, ...runcArgs(installation, criu), 'restore', '--detach', ...commonFlags],
    ...['--image-path', image.waking, '--work-path', image.waking, '--bundle', parts.paths.directory, parts.id],
  ];
  let result;
  try {
    result = await runCommand('setpriv', args, {
      env: { ...hostEnv, BERTH_CRIU_LOG: parts.disk.log },
      signal: AbortSignal.any([signal, deadline]),
      // Not pipes: the restored processes would keep them open.
      stdio: ['ignore', 'ignore', 'ignore'],
    });
  } catch (error) {
    signal.throwIfAborted();
    if (deadline.aborted) throw await failure('restore', join(image.waking, 'restore.log'), 'it took too long', null);
    throw error;
  }
  if (result.exitCode !== 0) throw await failure('restore', join(image.waking, 'restore.log'), '', result.exitCode);
}

/** Whether the runtime has got so far in a restore that processes may have run: it writes its state the moment before. */
export function mayHaveRun(installation: Installation, id: string): boolean {
  return existsSync(join(installation.runtime.root, id, 'state.json'));
}

/** Waits for a checkpoint that goes on although its starter is gone. */
export async function waitForDump(image: MemoryImage, parts: SandboxParts): Promise<void> {
  if (existsSync(image.lock)) await runCommand('flock', ['--timeout', '60', image.lock, 'true']);
  // CRIU itself may outlive the runtime for a moment: it lets go of the processes before it ends.
  for (let attempt = 0; attempt < 500; attempt++) {
    const traced = await Promise.all((await parts.cgroup.processes()).map(isTraced));
    if (!traced.includes(true)) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await rm(image.lock, { force: true });
}

async function isTraced(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return /^TracerPid:\s*[1-9]/m.test(status);
}

function runcArgs(installation: Installation, criu: Criu): string[] {
  return ['--root', installation.runtime.root, '--criu', criu.wrapper];
}

async function failure(operation: string, log: string, said: string, exitCode: number | null): Promise<BerthError> {
  const text = await readFile(log, 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line.includes('Error ('));
  // The limit on open files that it would like for itself, and does well without.
  const telling = lines.filter((line) => !line.includes("Can't setup RLIMIT_NOFILE"));
  const reason = telling.slice(0, 3).map((line) => line.replace(/^\([\d.]+\)\s*/, '')).join('; ') || said.trim().slice(-1000) || `exit ${exitCode}`;
  const code = /No space left|Disk quota/.test(text) ? 'resource_exhausted' : 'upstream_failed';
  return new BerthError(code, `${operation} failed: ${reason}`, { context: { exitCode, log: text.slice(-2000) } });
}
