import { spawn } from 'node:child_process';
import { BerthError } from '../protocol/errors.ts';

/** Where system programs are looked for. Fixed, so that a caller's PATH cannot choose what root runs. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** The whole environment of every program that Berth starts on the host. */
export const hostEnv: Readonly<Record<string, string>> = { PATH: systemPath, LANG: 'C', LC_ALL: 'C' };

/** No program started here prints more than a report; the rest is dropped. */
const maxOutputBytes = 4 * 1024 * 1024;

export interface CommandOptions {
  signal?: AbortSignal;
  /** The whole of it. Default `hostEnv`. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** In a session of its own: what ends the caller's process group does not end it. */
  detached?: boolean;
  /** Descriptors or modes for stdin, stdout and stderr. A stream that is not `pipe` is not captured. */
  stdio?: readonly ('ignore' | 'pipe' | number)[];
}

export interface CommandResult {
  /** `null` when a signal ended it. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end. A non-zero exit is a result. Throws `upstream_failed` when it cannot be
 * started and the signal's reason when aborted, after the program has been killed and has ended.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const child = spawn(file, args, {
    env: { ...(options.env ?? hostEnv) },
    cwd: options.cwd,
    detached: options.detached ?? false,
    stdio: [...(options.stdio ?? ['ignore', 'pipe', 'pipe'])],
  });
  const kill = () => child.kill('SIGKILL');
  options.signal?.addEventListener('abort', kill, { once: true });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (cause) => {
        reject(new BerthError('upstream_failed', `${file} could not be started`, { cause }));
      });
      child.once('close', resolve);
    });
    options.signal?.throwIfAborted();
    return { exitCode, stdout: stdout(), stderr: stderr() };
  } finally {
    options.signal?.removeEventListener('abort', kill);
  }
}

/** As `runCommand`, but anything other than exit 0 is `upstream_failed` with what the program said. Resolves to stdout. */
export async function mustRun(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(file, args, options);
  if (result.exitCode !== 0) throw commandFailed(file, args, result);
  return result.stdout;
}

export function commandFailed(file: string, args: readonly string[], result: CommandResult): BerthError {
  const said = (result.stderr.trim() || result.stdout.trim()).slice(-2000);
  return new BerthError('upstream_failed', `${file} ${args[0] ?? ''} failed: ${said || `exit ${result.exitCode}`}`, {
    context: { argv: [file, ...args], exitCode: result.exitCode },
  });
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size >= maxOutputBytes) return;
    chunks.push(chunk);
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
