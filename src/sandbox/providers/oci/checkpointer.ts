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
   * Brings the processes to a state in which they can be written, and in which nobody outside is connected to them.
   * `paused`: they stand still already. Throws `conflict` when someone does not let go of them.
   */
  settle(parts: SandboxParts, paused: boolean, signal: AbortSignal): Promise<void>;
  /** After a `settle` or a `dump` that came to nothing, also in an earlier process: takes back what the freezer does not know of. */
  unsettle(parts: SandboxParts): Promise<void>;
  /** What `restore` must be told and only the live processes know; kept with the image. Throws when they can never be written. */
  describe(parts: SandboxParts): Promise<ImageDescription>;
  /**
   * Writes the processes to `directory` and leaves them standing still. The lock is held until nothing of it is
   * at work any more, also when Berth is killed. Not cancelled: a checkpoint that is ended in the middle damages the
   * processes. Throws `upstream_failed` or `resource_exhausted` with the reason.
   */
  dump(parts: SandboxParts, directory: string, description: ImageDescription, lock: ImageLock): Promise<void>;
  /**
   * Brings the processes back; the root is mounted. Resolves when they run. Holds the lock as `dump` does and is not
   * cancelled either: it takes moments, and ends by itself or at its deadline. `connectionScript` is a shell's and takes
   * the pid of a process in the new network namespace; it brings that up before connections are restored in it. When it
   * throws no process has run.
   */
  restore(
    parts: SandboxParts,
    directory: string,
    description: ImageDescription,
    lock: ImageLock,
    connectionScript: string,
  ): Promise<void>;
}

/** Opaque to all but the checkpointer that made it. */
export type ImageDescription = Readonly<Record<string, string>>;
