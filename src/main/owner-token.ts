import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Store } from '../core/ports/store.ts';
import { ensureLocalOwner, localOwner } from '../core/users/local-owner.ts';
import { hashToken } from '../core/users/principal.ts';
import { issueToken } from '../core/users/tokens.ts';

/**
 * The local owner's token, the same at every start: kept in a file only its owner can read, and as a digest
 * in the store. A lost file, or a token that was revoked, gives a new one.
 */
export async function ownerToken(store: Store, dataDir: string, at: Date): Promise<string> {
  await ensureLocalOwner(store, at);
  const path = join(dataDir, 'owner-token');
  const kept = await readFile(path, 'utf8').then(
    (text) => text.trim(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    },
  );
  const known = kept === null ? null : await store.read.tokenByHash(hashToken(kept));
  if (kept !== null && known !== null && known.owner === localOwner && known.revokedAt === null) return kept;
  const fresh = { name: 'this machine', owner: localOwner, scopes: ['admin'], expiresAt: null } as const;
  const { token } = await store.transaction((tx) => issueToken(tx, fresh, at));
  await writeFile(`${path}.new`, `${token}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return token;
}
