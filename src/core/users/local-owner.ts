import type { Store } from '../ports/store.ts';

/** The account of the machine's own user, which every installation has. */
export const localOwner = 'owner';

/** Makes it where it is missing: at the first start. */
export async function ensureLocalOwner(store: Store, at: Date): Promise<void> {
  await store.transaction(async (tx) => {
    if ((await tx.user(localOwner)) !== null) return;
    await tx.insertUser({
      handle: localOwner,
      displayName: 'Owner',
      role: 'owner',
      disabledAt: null,
      createdAt: at.toISOString(),
    });
  });
}
