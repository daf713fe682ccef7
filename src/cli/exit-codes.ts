import type { ErrorCode } from '../protocol/errors.ts';

/** What `berth` returns to the shell. `exec` and `shell` return the remote command's own code instead. */
export const exitCode = {
  ok: 0,
  /** The turn failed, or something broke that is none of the below. */
  failed: 1,
  /** Bad arguments, or a request that the server refuses for what it says. */
  usage: 2,
  notFound: 3,
  /** No token, a wrong one, or one that may not do this. */
  unauthorized: 4,
  /** No answer from the server, or it cannot serve now. */
  unavailable: 5,
  /** The agent asked for permission and was refused because nobody could be asked. */
  permissionRefused: 6,
  /** Ctrl-C, or the turn was interrupted by someone else. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** Exit code of each failure; the compiler checks that none is forgotten. */
const exitCodeOfError = {
  invalid_request: exitCode.usage,
  unauthorized: exitCode.unauthorized,
  forbidden: exitCode.unauthorized,
  budget_reached: exitCode.failed,
  quota_exceeded: exitCode.failed,
  not_found: exitCode.notFound,
  method_not_allowed: exitCode.usage,
  conflict: exitCode.failed,
  payload_too_large: exitCode.usage,
  unsupported: exitCode.usage,
  path_not_allowed: exitCode.usage,
  rate_limited: exitCode.unavailable,
  cancelled: exitCode.interrupted,
  internal: exitCode.failed,
  upstream_failed: exitCode.failed,
  unavailable: exitCode.unavailable,
  timeout: exitCode.unavailable,
  resource_exhausted: exitCode.failed,
  unknown_agent: exitCode.usage,
  unknown_template: exitCode.usage,
  agent_failed: exitCode.failed,
  repository_not_found: exitCode.usage,
  repository_refused: exitCode.usage,
  branch_not_found: exitCode.usage,
  sandbox_lost: exitCode.unavailable,
} as const satisfies Record<ErrorCode, ExitCode>;

export function exitCodeFor(code: ErrorCode): ExitCode {
  return exitCodeOfError[code];
}

/** The shell's convention for a command that a signal ended: 128 and the signal's number. */
export function exitCodeOfProcess(exit: { exitCode: number | null; signal: string | null }): number {
  if (exit.exitCode !== null) return exit.exitCode;
  return 128 + (signalNumbers[exit.signal ?? ''] ?? 0);
}

/** The signals that end processes in practice, with their numbers on Linux: a sandbox is always Linux. */
const signalNumbers: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
};
