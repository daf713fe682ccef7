import type { RepositoryRecord, TaskTrigger } from './store.ts';

/**
 * A code forge (GitHub, GitHub Enterprise) as tasks need it. Every call may be repeated after a
 * crash. Failures: `not_found`, `forbidden` (the installation lacks a permission), `rate_limited`,
 * `upstream_failed`, `unavailable`.
 */
export interface Forge {
  /** The repository that a clone address is of, when Berth may reach it there; else `null`. Asks nobody. */
  repositoryAt(url: string): Promise<RepositoryRecord | null>;
  /** Shows that the request was seen; giving the same reaction twice gives one. */
  acknowledge(repository: RepositoryRecord, trigger: TaskTrigger, signal: AbortSignal): Promise<void>;
  readIssue(repository: RepositoryRecord, number: number, signal: AbortSignal): Promise<ForgeIssue>;
  /** Our own comment on the issue or pull request that contains `marker`; `null` when there is none. */
  findComment(repository: RepositoryRecord, number: number, marker: string, signal: AbortSignal): Promise<number | null>;
  createComment(repository: RepositoryRecord, number: number, body: string, signal: AbortSignal): Promise<number>;
  updateComment(repository: RepositoryRecord, commentId: number, body: string, signal: AbortSignal): Promise<void>;
  /** The open pull request from this branch. */
  findPull(repository: RepositoryRecord, branch: string, signal: AbortSignal): Promise<ForgePull | null>;
  createPull(repository: RepositoryRecord, pull: NewPull, signal: AbortSignal): Promise<ForgePull>;
  /** As whom the forge shows what we commit. */
  botIdentity(repository: RepositoryRecord, signal: AbortSignal): Promise<{ name: string; email: string }>;
}

export interface ForgeIssue {
  number: number;
  title: string;
  body: string;
  author: string;
  url: string;
  labels: string[];
  /** Oldest first, without our own. */
  comments: { author: string; body: string }[];
}

export interface ForgePull {
  number: number;
  url: string;
}

export interface NewPull {
  branch: string;
  baseBranch: string;
  title: string;
  body: string;
}
