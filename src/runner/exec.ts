import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { ExecRequest, ExecResult } from '../protocol/runner-api.ts';
import { childEnv, defaultCwd } from './child-env.ts';
import { signalGroup } from './process-group.ts';
import { outputEnd } from './output-end.ts';
import type { Route } from './router.ts';
import { sendJson } from './router.ts';
import { spawnError } from './spawn-error.ts';
import { countStreamed } from './streamed-memory.ts';
import { parseExecRequest } from './validate.ts';

const defaultMaxOutputBytes = 1024 * 1024;
/** Room for a large `stdin` in base64. */
const maxBodyBytes = 32 * 1024 * 1024;

export const execRoute: Route = {
  method: 'POST',
  pattern: '/exec',
  async handler({ res, readJson }) {
    const request = await parseExecRequest(await readJson(maxBodyBytes));
    const gone = new AbortController();
    res.once('close', () => gone.abort());
    const result = await runExec(request, gone.signal);
    if (!gone.signal.aborted) sendJson(res, 200, result);
  },
};

/**
 * Runs one process to its end. Its group is killed when time runs out and when `signal` fires: nobody
 * else can ever see its output. What it leaves in the background goes on, its output dropped.
 */
export async function runExec(request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
  const startedAt = performance.now();
  const cwd = request.cwd ?? defaultCwd();
  const child = start(request, cwd);
  const { stdout, stderr } = child;
  const maxBytes = request.maxOutputBytes ?? defaultMaxOutputBytes;
  const out = collect(stdout, maxBytes);
  const err = collect(stderr, maxBytes);
  const kill = () => signalGroup(child.pid, 'SIGKILL');
  let timedOut = false;
  const timer =
    request.timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          kill();
        }, request.timeoutMs);
  signal.addEventListener('abort', kill, { once: true });
  if (signal.aborted) kill();
  if (child.stdin !== null) {
    // It may end without reading: that is its affair.
    child.stdin.on('error', () => undefined);
    child.stdin.end(Buffer.from(request.stdin ?? '', 'base64'));
  }
  try {
    const [exitCode, exitSignal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    await outputEnd([stdout, stderr]);
    return {
      exitCode,
      signal: exitSignal,
      timedOut,
      truncated: out.truncated || err.truncated,
      stdout: out.take().toString('base64'),
      stderr: err.take().toString('base64'),
      durationMs: performance.now() - startedAt,
    };
  } catch (error) {
    throw spawnError(error, request.argv, cwd);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
  }
}

function start(request: ExecRequest, cwd: string) {
  const [command, ...args] = request.argv as [string, ...string[]];
  const options = { cwd, env: childEnv(request.env), detached: true };
  try {
    return request.stdin === undefined
      ? spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
      : spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (error) {
    throw spawnError(error, request.argv, cwd);
  }
}

/** Keeps the first `maxBytes` of a stream and reads on, so that its writer never blocks. */
function collect(stream: Readable, maxBytes: number): { readonly truncated: boolean; take(): Buffer } {
  let chunks: Buffer[] = [];
  let size = 0;
  let truncated = false;
  let taken = false;
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    countStreamed(chunk.length);
    if (taken) return;
    const room = maxBytes - size;
    if (chunk.length > room) truncated = true;
    if (room <= 0) return;
    const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
    chunks.push(kept);
    size += kept.length;
  });
  return {
    get truncated() {
      return truncated;
    },
    take() {
      taken = true;
      const all = Buffer.concat(chunks, size);
      chunks = [];
      return all;
    },
  };
}
