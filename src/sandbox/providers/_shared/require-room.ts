import { BerthError } from '../../../protocol/errors.ts';

/** Below this nothing new is started: a full disk hurts those that run. */
export const minFreeBytes = 512 * 1024 ** 2;

/** Throws `resource_exhausted` when too little is free for one more sandbox. `disk`: what it is called. */
export function requireRoom(freeBytes: number, disk = 'the disk for sandboxes'): void {
  if (freeBytes < minFreeBytes) throw new BerthError('resource_exhausted', `${disk} is full`, { context: { freeBytes } });
}
