import { chmodSync, chownSync, closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { guestUser } from '../../../core/ports/sandbox-provider.ts';
import { tokenFileName } from './runner-process.ts';

/**
 * Makes the directory that is shared with the sandbox, with the token in it. Anew at each start:
 * what an earlier run left there is hostile. Nothing of the sandbox runs while this does. `owner`: who the sandbox's user
 * is on this machine.
 */
export function prepareRunDirectory(path: string, token: string, owner: { uid: number; gid: number } = guestUser): void {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { mode: 0o700 });
  chmodSync(path, 0o700);
  chownSync(path, owner.uid, owner.gid);
  const tokenFile = join(path, tokenFileName);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = openSync(tokenFile, flags, 0o400);
  try {
    writeSync(file, `${token}\n`);
  } finally {
    closeSync(file);
  }
  chownSync(tokenFile, owner.uid, owner.gid);
}
