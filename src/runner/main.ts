import { chmodSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { readConfig, type RunnerConfig } from './config.ts';
import { createIdleMemory } from './idle-memory.ts';
import { log } from './log.ts';
import { createRestingListener } from './rest.ts';
import { createRunnerServer } from './server.ts';

/**
 * The runner's program: reads its environment, listens, ends on SIGTERM. It runs for as long as the sandbox does, so
 * a fault in one request is a line on stderr and not the end.
 */
function main(): void {
  const config = readConfig(process.env);
  let { token } = config;
  const server = createRunnerServer({
    ...config,
    token: () => token,
    version: readVersion(),
    onActivity: createIdleMemory(),
    onRest: () => resting?.rest(),
  });
  const { resting, listeners } = listen(config, () => server.createListener());
  const loadSessions = () => {
    if (hasState(config.stateDir)) server.loadSessions().catch((error: unknown) => log(String(error)));
  };

  process.on('uncaughtException', (error) => log(error.stack ?? error.message));
  process.on('unhandledRejection', (reason) =>
    log(reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)),
  );
  if (config.linkDir === null) {
    loadSessions();
  } else {
    takeIdentities(config.linkDir, config.socketPath ?? '', (given) => {
      token = given;
      loadSessions();
    });
  }

  let ending = false;
  const end = async () => {
    if (ending) return;
    ending = true;
    for (const listener of listeners) listener.close();
    await server.close().catch((error: unknown) => log(String(error)));
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end());
}

/** Of a sandbox that is a machine: the server says over a serial line who it is. It may rehearse with another name before. */
function takeIdentities(linkDir: string, socketPath: string, onToken: (token: string) => void): void {
  import('./link.ts').then(
    ({ serveLink }) =>
      serveLink(linkDir, socketPath, ({ token, env }) => {
        for (const [name, value] of Object.entries(env)) {
          if (!name.startsWith('BERTH_')) process.env[name] = value;
        }
        onToken(token);
      }),
    (error: unknown) => fail(String(error)),
  );
}

interface Listeners {
  listeners: readonly { close(): void }[];
  /** The one on the socket. */
  resting: { rest(): void } | null;
}

function listen(config: RunnerConfig, createListener: () => Server): Listeners {
  const listeners: { close(): void }[] = [];
  let resting: ReturnType<typeof createRestingListener> | null = null;
  const { socketPath, port } = config;
  if (socketPath !== null) {
    resting = createRestingListener(socketPath, () => {
      removeSocket(socketPath);
      const listener = createListener();
      listener.on('error', (error) => fail(`cannot listen on ${socketPath}: ${error.message}`));
      return listener.listen(socketPath, () => chmodSync(socketPath, 0o600));
    });
    listeners.push(resting);
  }
  if (port !== null) {
    const listener = createListener();
    // Something else may have the port; the socket is enough.
    listener.on('error', (error) =>
      (socketPath === null ? fail : log)(`cannot listen on port ${port}: ${error.message}`),
    );
    listener.listen(port, '127.0.0.1');
    listeners.push(listener);
  }
  if (listeners.length === 0) fail('neither a socket nor a port to listen on');
  return { listeners, resting };
}

/** Of a runner that was killed. */
function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function hasState(stateDir: string): boolean {
  try {
    return readdirSync(stateDir).length > 0;
  } catch {
    return false;
  }
}

/** The bundle's content hash, written beside it by scripts/build-runner.ts. */
function readVersion(): string {
  try {
    return readFileSync(new URL('version', import.meta.url), 'utf8').trim();
  } catch {
    return 'development';
  }
}

function fail(message: string): never {
  log(message);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
