import { lstat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';

export interface Owner {
  uid: number;
  gid: number;
}

/** A file of the sandbox's user that is put into a new home, for no longer than it takes to look at it. */
export const ownerMark = '.berth-owner';

/**
 * Who the sandbox's user is on this machine: with user ids of their own (a rootless engine, `userns-remap`) the containers' 1000 is
 * another user here. Seen on a file that the engine itself has put into the sandbox's volume, before anything runs there.
 */
export async function takeOwner(home: string): Promise<Owner> {
  const mark = join(home, ownerMark);
  const unknown = (why: string, cause?: unknown) =>
    new BerthError('unavailable', `nobody can say who the sandbox's user is on this machine: ${why}`, { context: { mark }, cause });
  let found: Owner;
  try {
    const { uid, gid } = await lstat(mark);
    found = { uid, gid };
    await unlink(mark);
  } catch (cause) {
    throw unknown("the engine's volumes are not directories of this machine", cause);
  }
  if (found.uid === 0 || found.gid === 0) throw unknown('its files belong to root');
  return found;
}
