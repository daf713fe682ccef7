import type { ExecOutput, RunnerClient } from '../core/ports/runner.ts';
import { BerthError } from '../protocol/errors.ts';

export interface SandboxScript {
  /** For `sh`; its arguments are `$1`, `$2`, ... Nothing is ever pasted into the text. */
  text: string;
  args: readonly string[];
  stdin?: Uint8Array;
  env?: Record<string, string>;
  timeoutMs?: number;
  maxOutputBytes?: number;
}

/** Exit codes by which the scripts tell what git's own 128 does not. */
export const scriptExit = { noRepository: 66 } as const;

const defaultTimeoutMs = 120_000;

/**
 * Before each script: stop at the first failure, no locale, no questions, and no hooks or settings of
 * the repository's that would run something. They are the agent's to write; inside the sandbox they
 * could do no more than the agent itself, but a commit of ours should not fail by them.
 */
const prelude = `set -eu
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_EDITOR=true GIT_PAGER=cat
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c commit.gpgSign=false -c gc.auto=0 -c core.quotePath=true "$@"; }
`;

/** Enters the clone given as `$1` or ends with `noRepository`. */
export const enterClone = `cd -- "$1" 2>/dev/null && top=$(git rev-parse --show-toplevel 2>/dev/null) && [ -n "$top" ] && cd -- "$top" || exit ${scriptExit.noRepository}
`;

/**
 * Runs one script in the sandbox, as its user: one round trip for many git commands. What comes back
 * is written by hostile code: callers check it. Throws `not_found` when the workspace is no
 * repository, `unsupported` when the template has no git, `timeout`, or `upstream_failed`.
 */
export async function runInSandbox(
  runner: RunnerClient,
  script: SandboxScript,
  signal: AbortSignal,
): Promise<ExecOutput> {
  const timeoutMs = script.timeoutMs ?? defaultTimeoutMs;
  const output = await runner.exec(
    {
      argv: ['/bin/sh', '-c', prelude + script.text, 'berth', ...script.args],
      cwd: '/',
      timeoutMs,
      ...(script.env === undefined ? {} : { env: script.env }),
      ...(script.stdin === undefined ? {} : { stdin: Buffer.from(script.stdin).toString('base64') }),
      ...(script.maxOutputBytes === undefined ? {} : { maxOutputBytes: script.maxOutputBytes }),
    },
    signal,
  );
  if (output.timedOut) throw new BerthError('timeout', `git in the sandbox took longer than ${timeoutMs / 1000} s`);
  if (output.exitCode === 0) return output;
  const stderr = Buffer.from(output.stderr).toString('utf8').slice(-2000);
  if (output.exitCode === scriptExit.noRepository) {
    throw new BerthError('not_found', 'the workspace is not a git repository any more', { context: { stderr } });
  }
  if (output.exitCode === 127) {
    throw new BerthError('unsupported', 'the template of this sandbox has no git', { context: { stderr } });
  }
  throw new BerthError('upstream_failed', 'git in the sandbox failed', {
    context: { exitCode: output.exitCode, signal: output.signal, stderr },
  });
}

/** A commit's id as the sandbox gave it. Throws `upstream_failed` for anything else. */
export function checkedSha(text: string): string {
  const sha = text.trim();
  if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(sha)) return sha;
  throw new BerthError('upstream_failed', 'git in the sandbox gave no commit id');
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
