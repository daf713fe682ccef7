import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../src/sandbox/find-program.ts';
import { unmountBelow } from '../src/sandbox/mount-table.ts';
import { hostEnv, mustRun, runCommand } from '../src/sandbox/run-command.ts';
import { sharedLibraries } from '../src/sandbox/runner-layer/libraries.ts';
import { limits } from './host.ts';
import { removable } from './when-cut.ts';

/** A Docker daemon of this run's own, with an image that holds `true` and `sleep`. */
export interface Docker {
  /** The start of every command line. */
  argv: readonly [string, ...string[]];
  socketPath: string;
  image: string;
  /** Of `docker run`: the same limits as Berth's sandboxes, and no network either. */
  confined: readonly string[];
  remove(): Promise<void>;
}

/** Why there is none: a row says it in place of figures. */
export interface NoDocker {
  reason: string;
}

const startDeadlineMs = 60_000;
const image = 'berth-bench';

export async function startDocker(): Promise<Docker | NoDocker> {
  const missing = [];
  for (const program of ['docker', 'dockerd']) if ((await findProgram(program)) === null) missing.push(program);
  if (missing.length > 0) return { reason: `${missing.join(' and ')} not installed (apt-get install docker.io)` };
  const dir = await mkdtemp(join(tmpdir(), 'berth-bench-docker-'));
  const socket = `unix://${join(dir, 'docker.sock')}`;
  const argv = ['docker', '--host', socket] as const;
  const daemon = await startDaemon(dir, socket);
  const docker: Docker = {
    argv,
    socketPath: socket.slice('unix://'.length),
    image,
    confined: [
      '--network=none',
      `--cpus=${limits.cpus}`,
      `--memory=${limits.memoryBytes}`,
      `--pids-limit=${limits.pids}`,
    ],
    remove: removable(async () => {
      const containers = (await mustRun(argv[0], [...argv.slice(1), 'ps', '--all', '--quiet']))
        .split('\n')
        .filter(Boolean);
      if (containers.length > 0) await mustRun(argv[0], [...argv.slice(1), 'rm', '--force', ...containers]);
      await daemon.end();
      await unmountBelow(dir);
      await rm(dir, { recursive: true, force: true });
    }),
  };
  try {
    if (!(await daemon.answers(argv))) return await giveUp('dockerd did not start');
    await importImage(argv);
    return docker;
  } catch (error) {
    return await giveUp(String(error));
  }

  async function giveUp(reason: string): Promise<NoDocker> {
    const said = daemon.lastLines();
    await daemon.end();
    await unmountBelow(dir);
    await rm(dir, { recursive: true, force: true });
    return { reason: `${reason}: ${said}` };
  }
}

/** A container with the limits of Berth's sandboxes, which sleeps. */
export async function startContainer({ argv: [program, ...args], confined, image: of }: Docker, name: string): Promise<void> {
  await mustRun(program, [...args, 'run', '--detach', `--name=${name}`, ...confined, of, 'sleep', 'infinity']);
}

async function startDaemon(dir: string, socket: string) {
  await mkdir(join(dir, 'data'));
  const child = spawn(
    'dockerd',
    [
      `--host=${socket}`,
      `--data-root=${join(dir, 'data')}`,
      `--exec-root=${join(dir, 'exec')}`,
      `--pidfile=${join(dir, 'docker.pid')}`,
      '--storage-driver=overlay2',
    ],
    { env: hostEnv, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-1000)));
  const exited = once(child, 'exit');
  let ended = false;
  void exited.then(() => (ended = true));
  return {
    lastLines: () => said.trim().split('\n').slice(-2).join(' '),
    async answers(argv: readonly [string, ...string[]]): Promise<boolean> {
      for (const deadline = performance.now() + startDeadlineMs; performance.now() < deadline && !ended;) {
        if ((await runCommand(argv[0], [...argv.slice(1), 'version'])).exitCode === 0) return true;
        await sleep(100);
      }
      return false;
    },
    async end(): Promise<void> {
      // It ends its own containerd, and waits for it.
      if (!ended) child.kill('SIGTERM');
      await exited;
    },
  };
}

/** No registry is needed: the host's own programs, with what they are bound to. */
async function importImage(argv: readonly [string, ...string[]]): Promise<void> {
  const programs = ['/usr/bin/true', '/usr/bin/sleep'];
  const { loader, libraries } = await sharedLibraries('/usr/bin/sleep');
  const tar = ['tar', '--create', '--dereference', '--absolute-names', ...programs, loader, ...libraries];
  const script = `${tar.map(quoted).join(' ')} | ${[...argv, 'import', '-', image].map(quoted).join(' ')}`;
  await mustRun('/bin/sh', ['-c', script]);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
