import { open } from 'node:fs/promises';
import { runCommand } from '../../run-command.ts';

/**
 * Held by whoever writes or restores a memory image. It belongs to an open file that the programs that do so inherit, so
 * it outlives a Berth that is killed for as long as they are at work, and there is no instant at which they have started
 * and do not hold it. Within one Berth the sandbox's own lock keeps others away.
 */
export interface ImageLock {
  /** For the `stdio` of a program. */
  fd: number;
  /** Lets go of it, when no program has it any more either. */
  close(): Promise<void>;
}

/** `null` when others still had it after that time. */
export async function takeImageLock(path: string, waitSeconds: number): Promise<ImageLock | null> {
  const file = await open(path, 'a', 0o600);
  try {
    // Descriptor 3 is the same open file, so what is locked by this program stays locked when it ends.
    const args = ['--exclusive', '--timeout', String(waitSeconds), '3'];
    const result = await runCommand('flock', args, { stdio: ['ignore', 'ignore', 'ignore', file.fd] });
    if (result.exitCode === 0) return { fd: file.fd, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return null;
}
