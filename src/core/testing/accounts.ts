import type { UserRole } from '../../protocol/users-api.ts';
import type { Store } from '../ports/store.ts';
import { issueToken, type NewToken } from '../users/tokens.ts';

/** A token of a user, who is made where he is missing. Unless told otherwise he owns the installation. */
export async function givenToken(
  store: Store,
  owner: string,
  { role = 'owner', ...change }: Partial<NewToken> & { role?: UserRole } = {},
): Promise<string> {
  const at = new Date();
  return store.transaction(async (tx) => {
    if ((await tx.user(owner)) === null) {
      await tx.insertUser({ handle: owner, displayName: owner, role, disabledAt: null, createdAt: at.toISOString() });
    }
    const token: NewToken = { name: 'test', owner, scopes: ['admin'], expiresAt: null, ...change };
    return (await issueToken(tx, token, at)).token;
  });
}
