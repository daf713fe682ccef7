import type { Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';

/**
 * Refuses a server whose key is not that of the others on its database: it could not open what they sealed, nor reach
 * their sandboxes, nor they it. The first server's key is the database's.
 */
export async function checkKey(store: Store, keyCheck: string, keyFile: string): Promise<void> {
  const known = await store.transaction(async (tx) => {
    const before = await tx.keyCheck();
    if (before === null) await tx.saveKeyCheck(keyCheck);
    return before ?? keyCheck;
  });
  if (known === keyCheck) return;
  throw new BerthError(
    'conflict',
    `the key in ${keyFile} is not the one that this database belongs to: copy the key file of its first server, and name it by BERTH_KEY_FILE`,
    { field: 'BERTH_KEY_FILE' },
  );
}
