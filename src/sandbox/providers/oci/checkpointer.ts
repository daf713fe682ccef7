import type { ImageLock } from './image-lock.ts';
import type { SandboxParts } from './sandbox.ts';

/**
 * How a runtime writes the processes of a sandbox to disk and brings them back. What is the same for all (when a
 * sandbox is hibernated, what a crash leaves, which image is stale) is in `hibernation.ts`.
 */
export interface Checkpointer {
  /** For people: which program, and its version. */
  readonly name: string;
  /**
   * Whether the processes, which are frozen, are in the middle of something that cannot be written, and must go on for a moment.
   */
  isMidway(parts: SandboxParts): Promise<boolean>;
  /** What `restore` must be told and only the live processes know; kept with the image. Throws when they can never be written. */
  describe(parts: SandboxParts): Promise<ImageDescription>;
  /**
   * Writes the frozen processes to `directory` and leaves them frozen as they are. The lock is held until nothing of it is
   * at work any more, also when Berth is killed. Not cancelled: a checkpoint that is ended in the middle damages the
   * processes. Throws `upstream_failed` or `resource_exhausted` with the reason.
   */
  dump(parts: SandboxParts, directory: string, description: ImageDescription, lock: ImageLock): Promise<void>;
  /**
   * Brings the processes back; the root is mounted. Resolves when they run. Holds the lock as `dump` does and is not
   * cancelled either: it takes moments, and ends by itself or at its deadline. When it throws no process has run.
   */
  restore(parts: SandboxParts, directory: string, description: ImageDescription, lock: ImageLock): Promise<void>;
}

/** Opaque to all but the checkpointer that made it. */
export type ImageDescription = Readonly<Record<string, string>>;
