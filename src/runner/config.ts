import { readFileSync, unlinkSync } from 'node:fs';
import { runnerEnv } from '../protocol/runner-launch.ts';

export interface RunnerConfig {
  socketPath: string | null;
  /** `null`: no TCP. */
  port: number | null;
  /** `null`: it comes over the link. */
  token: string | null;
  /** See `runnerEnv.link`. */
  linkDir: string | null;
  /** `null`: no names are answered. */
  namesPort: number | null;
  stateDir: string;
  fileRoots: readonly string[];
}

/** Equal to `runnerPort`, which lives beside the schemas: importing it would load zod at start. */
const defaultPort = 8080;

/** Reads the configuration and takes the token from its file. Throws with the name of what is missing. */
export function readConfig(env: NodeJS.ProcessEnv): RunnerConfig {
  const home = env['HOME'] ?? '/home/user';
  return {
    socketPath: env[runnerEnv.socket] ?? null,
    port: readPort(runnerEnv.port, env[runnerEnv.port] ?? String(defaultPort)),
    namesPort: readPort(runnerEnv.namesPort, env[runnerEnv.namesPort] ?? 'none'),
    linkDir: env[runnerEnv.link] ?? null,
    token: env[runnerEnv.link] === undefined ? takeToken(env[runnerEnv.tokenFile]) : null,
    stateDir: env[runnerEnv.stateDir] ?? `${home}/.local/state/berth`,
    fileRoots: (env[runnerEnv.fileRoots] ?? '/home/user:/tmp').split(':').filter((root) => root.startsWith('/')),
  };
}

function readPort(name: string, value: string): number | null {
  if (value === 'none') return null;
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`${name} is not a port: ${value}`);
  return port;
}

function takeToken(file: string | undefined): string {
  if (file === undefined) throw new Error(`${runnerEnv.tokenFile} is not set`);
  const token = readFileSync(file, 'utf8').trim();
  if (token === '') throw new Error(`${file} holds no token`);
  try {
    unlinkSync(file);
  } catch {
    // A read-only mount: the provider keeps it from other readers by its mode.
  }
  return token;
}
