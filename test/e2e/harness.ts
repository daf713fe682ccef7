import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { releaseStorage } from '../../src/sandbox/storage/release.ts';
import { createBerthClient, type BerthClient } from '../../src/sdk/index.ts';
import { asksFor } from '../conformance/asks-for.ts';
import { findLeaks } from './leaks.ts';

export const root = resolve(import.meta.dirname, '../..');

/** Agents are large; test runs share one installation of them, below the checkout's cache. */
export const agentCache = join(root, '.cache', 'agents');

/** What Node makes of the sources, as `bin/berth` keeps it. */
export const compileCache = join(root, 'node_modules/.cache/node');

/** `BERTH_TEST_PROVIDERS=runsc` puts a whole run on gVisor; else the runtime is what suits the host. */
export const runsOnGvisor = asksFor('runsc');

/** A real server in a process of its own, so that it can be killed. */
export interface TestServer {
  url: string;
  token: string;
  /** Signs one browser in, once. */
  signInUrl: string;
  pid: number;
  client: BerthClient;
  /** SIGKILL: no clean-up, no last words. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
}

export interface TestInstallation {
  dataDir: string;
  start(env?: Record<string, string>): Promise<TestServer>;
  /** Deletes every session, ends the server and removes the data directory; fails on what is left over. */
  remove(): Promise<void>;
}

const startDeadlineMs = 120_000;

export async function createInstallation(env: Record<string, string> = {}): Promise<TestInstallation> {
  const dataDir = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  const running = new Set<TestServer>();

  async function start(more: Record<string, string> = {}): Promise<TestServer> {
    const child = spawn(
      join(root, 'node_modules/.bin/node'),
      ['--disable-warning=ExperimentalWarning', join(root, 'src/cli/main.ts'), 'up', '--json'],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
          HOME: dataDir,
          NODE_COMPILE_CACHE: compileCache,
          BERTH_DATA_DIR: dataDir,
          BERTH_PORT: '0',
          BERTH_LOG_LEVEL: 'debug',
          BERTH_AGENTS_DIR: agentCache,
          BERTH_WARM: '0',
          ...(runsOnGvisor ? { BERTH_RUNTIME: 'runsc' } : {}),
          // Tests ask more often than people do; what the limits refuse is in `src/server/limits`.
          BERTH_RATE_LIMITS: 'off',
          // What agents ask reaches the test.
          BERTH_PERMISSION_MODE: 'ask',
          BERTH_IDLE_PAUSE_MINUTES: '0',
          BERTH_IDLE_HIBERNATE_MINUTES: '0',
          BERTH_ASKING_HIBERNATE_MINUTES: '0',
          ...npmEnvironment(),
          ...env,
          ...more,
        },
      },
    );
    const { url, token, signInUrl } = await readAddress(child, dataDir);
    const server: TestServer = {
      url,
      token,
      signInUrl,
      pid: child.pid!,
      client: createBerthClient({ baseUrl: url, token }),
      async kill() {
        running.delete(server);
        await end(child, 'SIGKILL');
      },
      async stop() {
        running.delete(server);
        await end(child, 'SIGTERM');
      },
    };
    running.add(server);
    return server;
  }

  return {
    dataDir,
    start,
    async remove() {
      const [server = await start()] = running;
      for (;;) {
        const sessions = await server.client.sessions.list({});
        if (sessions.length === 0) break;
        for (const session of sessions) await server.client.sessions.delete(session.id);
      }
      await server.stop();
      const leaks = await findLeaks(dataDir);
      await releaseStorage(dataDir);
      await rm(dataDir, { recursive: true, force: true });
      if (leaks.length > 0) throw new Error(`left over after every session was deleted:\n${leaks.join('\n')}`);
    },
  };
}

function npmEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => /^(npm_config_|NODE_EXTRA_CA_CERTS$|https?_proxy$)/i.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? '']));
}

async function readAddress(child: ChildProcess, dataDir: string): Promise<{ url: string; token: string; signInUrl: string }> {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const lines = createInterface({ input: child.stdout! });
  let text = '';
  const timer = setTimeout(() => child.kill('SIGKILL'), startDeadlineMs);
  try {
    for await (const line of lines) {
      text += line;
      // One document over several lines; it is whole at the brace that stands alone.
      if (line !== '}') continue;
      child.stdout?.resume();
      return JSON.parse(text) as { url: string; token: string; signInUrl: string };
    }
  } finally {
    clearTimeout(timer);
  }
  const log = await readFile(join(dataDir, 'server.log'), 'utf8').catch(() => '');
  throw new Error(`the server did not start: ${stderr}\n${log.slice(-4000)}`);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
