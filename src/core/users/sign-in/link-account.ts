import { BerthError } from '../../../protocol/errors.ts';
import { newId } from '../../../protocol/ids.ts';
import { actorOf } from '../../audit/actor.ts';
import type { IdentityProvider, ProvenIdentity } from '../../ports/identity-provider.ts';
import type { Store } from '../../ports/store.ts';
import { localOwner } from '../local-owner.ts';

/**
 * Makes a proven account one of the user's. No-op when it is already. Throws `conflict` when it is another's: whose, is not
 * said.
 */
export async function linkAccount(
  store: Store,
  at: Date,
  user: string,
  provider: Pick<IdentityProvider, 'name' | 'label'>,
  { issuer, subject, label }: ProvenIdentity,
): Promise<void> {
  const createdAt = at.toISOString();
  await store.transaction(async (tx) => {
    const existing = await tx.linkedAccount(issuer, subject);
    if (existing?.owner === user) return;
    if (existing !== null) {
      throw new BerthError(
        'conflict',
        `${provider.label} account ${label} belongs to another user here; sign in with it and unlink it there first`,
      );
    }
    const id = newId('linkedAccount');
    await tx.insertLinkedAccount({ id, issuer, subject, owner: user, label, origin: 'person', createdAt, lastUsedAt: null });
    const detail = { with: provider.name, account: label, subject };
    await tx.appendAudit([
      { at: createdAt, actor: actorOf(user), action: 'account.linked', target: user, sessionId: null, detail },
    ]);
  });
}

/** Throws `not_found` for one that is not the user's, `conflict` for the last: then only somebody else could let him in. */
export async function unlinkAccount(store: Store, at: Date, user: string, id: string): Promise<void> {
  await store.transaction(async (tx) => {
    const accounts = await tx.linkedAccounts(user);
    const found = accounts.find((each) => each.id === id);
    if (found === undefined) throw new BerthError('not_found', 'you have no such linked account', { field: 'id' });
    // The machine's own user has its token in a file.
    if (accounts.length === 1 && user !== localOwner) {
      throw new BerthError('conflict', 'this is your last way to sign in; link another account first', { field: 'id' });
    }
    await tx.deleteLinkedAccount(id);
    const detail = { issuer: found.issuer, account: found.label, subject: found.subject };
    await tx.appendAudit([
      { at: at.toISOString(), actor: actorOf(user), action: 'account.unlinked', target: user, sessionId: null, detail },
    ]);
  });
}
