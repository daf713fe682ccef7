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
  const server = createRunnerServer({
    ...config,
    version: readVersion(),
    onActivity: createIdleMemory(),
    onRest: () => resting?.rest(),
  });
  const { resting, listeners } = listen(config, () => server.createListener());

  process.on('uncaughtException', (error) => log(error.stack ?? error.message));
  process.on('unhandledRejection', (reason) =>
    log(reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)),
  );
  if (hasState(config.stateDir)) server.loadSessions().catch((error: unknown) => log(String(error)));

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
