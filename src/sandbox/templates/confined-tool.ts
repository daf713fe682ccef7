import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { SayLine } from '../../core/ports/templates.ts';
import { BerthError } from '../../protocol/errors.ts';
import { findProgram } from '../find-program.ts';
import { hostEnv } from '../run-command.ts';

/** Programs of which templates are made, and Debian's package of each. */
export const toolPackages = { skopeo: 'skopeo', umoci: 'umoci', buildah: 'buildah', mmdebstrap: 'mmdebstrap', tar: 'tar' } as const;
export type Tool = keyof typeof toolPackages;

export interface ToolOptions {
  /** Where it may leave what it likes; removed with the build. */
  scratchDir: string;
  /** For how the network is reached: the few names of `networkNames` are taken. */
  environment: Readonly<Record<string, string | undefined>>;
  say: SayLine;
  signal: AbortSignal;
}

const networkNames = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/**
 * Before a program: namespaces of its own for processes and mounts. When this process ends, however, or the program is given up,
 * everything that it started ends with it and what it mounted is gone, so that all it leaves is below its directory.
 */
const confined = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Throws `unavailable` with the package that it is in. */
export async function requireTool(tool: Tool): Promise<string> {
  const path = await findProgram(tool);
  if (path !== null) return path;
  throw new BerthError('unavailable', `${tool} is not installed on the server's machine (apt-get install ${toolPackages[tool]})`, { field: 'from' });
}

/** Runs a program to its end, each line that it writes to the log. Throws `upstream_failed` with the last of them. */
export async function runTool(tool: Tool, args: readonly string[], options: ToolOptions): Promise<void> {
  const { scratchDir, environment, say, signal } = options;
  const path = await requireTool(tool);
  const temporary = join(scratchDir, 'tmp');
  await mkdir(temporary, { recursive: true, mode: 0o711 });
  signal.throwIfAborted();
  const network = networkNames.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]]));
  const [file, ...before] = confined as [string, ...string[]];
  const child = spawn(file, [...before, path, ...args], {
    cwd: scratchDir,
    env: { ...hostEnv, ...Object.fromEntries(network), HOME: scratchDir, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  let last = '';
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
      if (line.trim() === '') return;
      last = line;
      say(line);
    });
  }
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (cause) => reject(new BerthError('upstream_failed', `${tool} could not be started`, { cause })));
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    if (exitCode !== 0) throw new BerthError('upstream_failed', `${tool} failed: ${last.slice(0, 1000) || `exit ${exitCode}`}`, { context: { exitCode } });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
