import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { BerthError } from '../protocol/errors.ts';

const keyBytes = 32;
/** The key as 64 hexadecimal digits and a newline, so that it can be backed up as text. */
const keyText = /^[0-9a-f]{64}\n?$/;

/**
 * The 256-bit key in a file, made with mode 0600 when absent. Two processes that start at once get the
 * same key, and a crash leaves either a whole file or none. Throws `forbidden` for a file that others
 * than its owner may read or write, or that belongs to another user, and `internal` for one that is not
 * a key; neither is ever replaced, since a new key would make every sealed secret unreadable.
 */
export async function readOrCreateKey(keyFilePath: string): Promise<Buffer> {
  return (await readKey(keyFilePath)) ?? (await createKey(keyFilePath));
}

async function readKey(keyFilePath: string): Promise<Buffer | null> {
  const file = await openExisting(keyFilePath);
  if (file === null) return null;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw refused('internal', keyFilePath, 'is not a regular file');
    if ((stats.mode & 0o077) !== 0)
      throw refused('forbidden', keyFilePath, 'may be read or written by its owner alone (chmod 600)');
    if (stats.uid !== process.geteuid?.()) throw refused('forbidden', keyFilePath, 'belongs to another user');
    const text = await file.readFile('latin1');
    if (!keyText.test(text)) throw refused('internal', keyFilePath, 'does not hold a key of 64 hexadecimal digits');
    return Buffer.from(text.trim(), 'hex');
  } finally {
    await file.close();
  }
}

/** `null` when absent. Does not follow a link, nor hang on a pipe put in the file's place. */
async function openExisting(keyFilePath: string) {
  try {
    return await open(keyFilePath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw refused('internal', keyFilePath, 'cannot be opened', error);
  }
}

/** Writes beside, syncs, and links into place, which fails where a rename would replace another's key. */
async function createKey(keyFilePath: string): Promise<Buffer> {
  const beside = `${keyFilePath}.${randomBytes(8).toString('hex')}.tmp`;
  const directory = path.dirname(keyFilePath);
  try {
    await writeSynced(beside, `${randomBytes(keyBytes).toString('hex')}\n`);
    await link(beside, keyFilePath).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await syncDirectory(directory);
  } catch (error) {
    throw refused('internal', keyFilePath, 'cannot be made', error);
  } finally {
    await rm(beside, { force: true });
  }
  const key = await readKey(keyFilePath);
  if (key === null) throw refused('internal', keyFilePath, 'was removed while it was being made');
  return key;
}

async function writeSynced(filePath: string, text: string): Promise<void> {
  const file = await open(filePath, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function refused(code: 'forbidden' | 'internal', file: string, fault: string, cause?: unknown): BerthError {
  return new BerthError(code, `the key file ${file} ${fault}`, { context: { file }, cause });
}
