import type { SessionDiff } from '../../protocol/api.ts';
import type { RunnerClient } from './runner.ts';

/**
 * Git on the host (mirrors) and in the sandbox (the clone). The host never runs git in a directory
 * that a sandbox can write: hooks, filters and settings there are hostile.
 */
export interface Git {
  /**
   * Asks the remote, without fetching objects. Throws `repository_not_found`, `repository_refused`,
   * `branch_not_found`, `invalid_request`, each naming the field, or `upstream_failed`.
   */
  check(url: string, branch: string | null, signal: AbortSignal): Promise<{ baseBranch: string }>;
  /** Brings the mirror up to date. Concurrent calls for one repository share one fetch. */
  updateMirror(url: string, onProgress: (message: string) => void, signal: AbortSignal): Promise<Mirror>;
  /** Makes the session's clone; repeating it after a crash starts over. Resolves to the base commit. */
  clone(runner: RunnerClient, mirror: Mirror, request: CloneRequest, signal: AbortSignal): Promise<{ baseCommit: string }>;
  /** Makes an empty repository with one empty commit, so that a session without a repository has a diff too. */
  initialise(
    runner: RunnerClient,
    request: { cwd: string; branch: string; author: { name: string; email: string } },
    signal: AbortSignal,
  ): Promise<{ baseCommit: string }>;
  diff(runner: RunnerClient, request: { cwd: string; baseCommit: string | null }, signal: AbortSignal): Promise<SessionDiff>;
  /** Commits what the agent left, without its settings files. `null`: nothing to commit. */
  commitAll(runner: RunnerClient, request: CommitRequest, signal: AbortSignal): Promise<CommittedChange | null>;
  /** Commits on the branch since the base, oldest first. */
  log(runner: RunnerClient, request: { cwd: string; baseCommit: string }, signal: AbortSignal): Promise<CommittedChange[]>;
  /** Brings the branch out of the sandbox, checks its objects, and pushes it. Never forces. Idempotent. */
  push(runner: RunnerClient, request: PushRequest, signal: AbortSignal): Promise<{ sha: string }>;
}

/** The receiving end of pushes that come out of a sandbox by git's own protocol. */
export interface GitReceiver {
  /** Branches and tags of the remote, whose objects the mirror has when this resolves. Throws as `Git.updateMirror`. */
  refs(url: string, signal: AbortSignal): Promise<{ name: string; sha: string }[]>;
  /**
   * Takes the pack in apart from all else, checks its objects, and pushes `sha` to the branch. Never forces. Throws
   * `conflict` when the remote branch has other commits, `repository_refused` when it may not be written,
   * `payload_too_large`, and `upstream_failed`.
   */
  receive(request: ReceiveRequest, pack: AsyncIterable<Uint8Array>, onLine: (line: string) => void, signal: AbortSignal): Promise<void>;
}

export interface ReceiveRequest {
  url: string;
  sessionId: string;
  branch: string;
  /** What the commits go on from; the mirror has it. */
  baseCommit: string;
  sha: string;
}

export interface Mirror {
  url: string;
  /** The mirror's object directory, on the host. */
  objectsDir: string;
  defaultBranch: string;
}

export interface CloneRequest {
  cwd: string;
  baseBranch: string;
  branch: string;
  author: { name: string; email: string };
  /** Removed when it is a repository without files: the workspace of a session that has none. */
  emptyWorkspace?: string;
  /** Whether `guestObjectsPath` holds the mirror's objects; else they are sent. */
  sharedObjects: boolean;
}

export interface CommitRequest {
  cwd: string;
  message: string;
  author: { name: string; email: string };
  coAuthors: readonly { name: string; email: string }[];
}

export interface CommittedChange {
  sha: string;
  subject: string;
}

export interface PushRequest {
  url: string;
  cwd: string;
  sessionId: string;
  branch: string;
  baseCommit: string;
}
