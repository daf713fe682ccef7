import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Store } from '../core/ports/store.ts';
import { hashToken, issueToken } from '../server/auth.ts';

/** The account of the machine's own user. */
export const owner = 'owner';

/**
 * The owner's token, the same at every start: kept in a file only its owner can read, and as a digest
 * in the store. A lost file gives a new token.
 */
export async function ownerToken(store: Store, dataDir: string, at: Date): Promise<string> {
  const path = join(dataDir, 'owner-token');
  const kept = await readFile(path, 'utf8').then(
    (text) => text.trim(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    },
  );
  if (kept !== null && (await store.read.tokenByHash(hashToken(kept))) !== null) return kept;
  const token = await issueToken(store, 'owner', owner, at);
  await writeFile(`${path}.new`, `${token}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return token;
}
