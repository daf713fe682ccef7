import type { TemplateJob, TemplateJobEvent, TemplateView } from '../../protocol/templates-api.ts';

/** A template as the workshop knows it, whoever uses it. */
export type BuiltTemplate = Omit<TemplateView, 'providers'>;

/** Takes a line of a job's log. What it says may come from anywhere. */
export type SayLine = (text: string) => void;

export interface JobOptions {
  say: SayLine;
  signal: AbortSignal;
}

/**
 * This machine's templates: how they are made, kept and given away. One server has it at a time. A version never changes; it is
 * there whole or not at all, whenever the process ends.
 */
export interface TemplateWorkshop {
  /** By name. */
  list(): Promise<BuiltTemplate[]>;
  get(name: string): Promise<BuiltTemplate | null>;
  /** Whether a place names files of this machine. Throws `invalid_request` for one that cannot be a place at all. */
  isLocal(place: string): boolean;
  /**
   * Makes a version and leaves it there, used by nobody yet; resolves to it. After a failure nothing is left. Throws
   * `unavailable` with the missing program's package, `invalid_request` for what no template can be made of,
   * `resource_exhausted` beyond the limits, `upstream_failed` with what a program said.
   */
  build(name: string, from: string, options: JobOptions): Promise<string>;
  /** From now on new sandboxes start from it. Idempotent. */
  publish(name: string, version: string): Promise<void>;
  push(name: string, to: string, options: JobOptions): Promise<void>;
  /** From now on `get` does not have it. `restore` undoes that, as a restart does, until `forget`. */
  hide(name: string): Promise<void>;
  restore(name: string): Promise<void>;
  forget(name: string): Promise<void>;
  /** Of templates that `isUsed` denies, removes all versions but the current, and layers that no version has. Nothing may be building. */
  purge(isUsed: (name: string) => boolean): Promise<void>;
  /** Removes what a process left that ended in the middle. Nothing may be building. */
  recover(): Promise<void>;
}

/** What is kept of jobs: the newest few, each with its log. */
export interface TemplateJobs {
  save(job: TemplateJob): Promise<void>;
  get(id: string): Promise<TemplateJob | null>;
  /** Newest first. */
  list(): Promise<TemplateJob[]>;
  /** Adds a line to the log of a job that runs; beyond the limit it is dropped. */
  append(id: string, text: string): void;
  /** Events with a greater `seq`, then new ones as they come, to the end of the job. `null`: nothing came for a while. */
  follow(id: string, from: number, heartbeatMs: number, signal: AbortSignal): AsyncGenerator<TemplateJobEvent | null>;
}
