import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BerthError } from '../protocol/errors.ts';

export interface NpmRun {
  command: readonly string[];
  /** Holds the `package.json` to install from. */
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  /** For messages. */
  what: string;
  onProgress: (message: string) => void;
  signal: AbortSignal;
}

const progressEveryMs = 2000;
/** Between SIGTERM and SIGKILL of an aborted install. */
const killAfterMs = 3000;
const tailLines = 12;

/**
 * `npm install` in `cwd`: exact dependencies, no scripts, files readable by everybody. Throws
 * `upstream_failed` with the end of npm's errors, `unavailable` when there is no npm, and
 * the signal's reason when aborted, with npm gone by then.
 */
export async function runNpm(run: NpmRun): Promise<void> {
  const { signal } = run;
  signal.throwIfAborted();
  const args = [
    'install',
    '--omit=dev',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-save',
    '--loglevel=http',
    '--color=false',
  ];
  // The shell sets the umask, on which the modes of all files depend; a sandbox reads them as another user.
  const child = spawn('/bin/sh', ['-c', 'umask 022 && exec "$@"', 'npm', ...run.command, ...args], {
    cwd: run.cwd,
    env: npmEnvironment(run.env),
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });

  let fetched = 0;
  let toldAt = performance.now();
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith('npm http fetch')) {
      fetched += 1;
      if (performance.now() - toldAt < progressEveryMs) return;
      toldAt = performance.now();
      run.onProgress(`installing ${run.what}: ${fetched} downloads`);
    } else if (/^npm (?:error|ERR!)/.test(line) || !line.startsWith('npm ')) {
      errors.push(line.slice(0, 500));
      if (errors.length > tailLines) errors.shift();
    }
  });

  const killGroup = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // It has ended by itself.
    }
  };
  let killer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    killGroup('SIGTERM');
    killer = setTimeout(() => killGroup('SIGKILL'), killAfterMs);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    if (exitCode === 0) return;
    const detail = errors.join('\n');
    if (exitCode === 127) {
      throw new BerthError(
        'unavailable',
        'npm is not installed on this machine, so no agent can be installed; install npm',
        {
          context: { command: run.command, detail },
        },
      );
    }
    throw new BerthError('upstream_failed', `npm could not install ${run.what} (exit code ${exitCode}): ${detail}`);
  } finally {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(killer);
  }
}

/** Only what npm needs to find its registry, its cache and its way there. */
export function npmEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const wanted = /^(?:PATH|HOME|LANG|TMPDIR|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|(?:https?|no|all)_proxy|npm_config_.*)$/i;
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && wanted.test(name)) out[name] = value;
  }
  return out;
}
