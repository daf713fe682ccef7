import { newId } from '../../../protocol/ids.ts';
import { actorOf, serverActor } from '../../audit/actor.ts';
import type { IdentityProvider, ProvenIdentity } from '../../ports/identity-provider.ts';
import type { LinkedAccountRecord, Store, StoreTransaction } from '../../ports/store.ts';
import { issueBrowserToken } from '../browser-token.ts';
import { newHandle } from '../new-handle.ts';

/** `reason` is for the audit log, `refusal` for the person. */
export type Outcome =
  | { user: string; tokenHash: string; missingTeams: readonly string[] }
  | { user: string | null; reason: 'not allowed' | 'disabled'; refusal: string };

/**
 * Signs somebody in whom a provider has proven. His account is known by issuer and subject and by nothing else: one with the
 * same name or address as a user's is not that user. Who is unknown becomes a user where a rule lets him in; whom a rule once
 * let in it must let in each time.
 */
export async function signInBy(
  store: Store,
  at: Date,
  provider: Pick<IdentityProvider, 'name' | 'label'>,
  identity: ProvenIdentity,
): Promise<Outcome> {
  return store.transaction(async (tx) => {
    const account = await tx.linkedAccount(identity.issuer, identity.subject);
    const owner = account === null ? null : await tx.user(account.owner);
    if (owner !== null && owner.disabledAt !== null) {
      const refusal = 'your account is disabled here; ask an owner of this installation to enable it';
      return { user: owner.handle, reason: 'disabled', refusal };
    }
    if (identity.admission === null && account?.origin !== 'person') {
      const refusal = `${identity.refusal}. Ask an owner of this installation to let you in, or for a sign-in link`;
      return { user: owner?.handle ?? null, reason: 'not allowed', refusal };
    }

    const now = at.toISOString();
    const { user, missingTeams } =
      account === null
        ? await addUser(tx, now, provider, identity)
        : { user: await noteUse(tx, now, account, identity), missingTeams: [] };
    const token = await issueBrowserToken(tx, user, `signed in by ${provider.label}`, at);
    const detail = { with: provider.name, account: identity.label, token: token.id };
    await tx.appendAudit([
      { at: now, actor: actorOf(user), action: 'signin.succeeded', target: user, sessionId: null, detail },
    ]);
    return { user, tokenHash: token.hash, missingTeams };
  });
}

async function noteUse(tx: StoreTransaction, now: string, { id, owner }: LinkedAccountRecord, { label }: ProvenIdentity): Promise<string> {
  await tx.updateLinkedAccount(id, { label, lastUsedAt: now });
  return owner;
}

async function addUser(
  tx: StoreTransaction,
  now: string,
  provider: Pick<IdentityProvider, 'name'>,
  { issuer, subject, label, displayName, names, admission }: ProvenIdentity,
): Promise<{ user: string; missingTeams: string[] }> {
  const { role, teams } = admission!;
  const user = await newHandle(tx, names);
  await tx.insertUser({ handle: user, displayName: displayName ?? user, role, disabledAt: null, createdAt: now });
  const id = newId('linkedAccount');
  await tx.insertLinkedAccount({ id, issuer, subject, owner: user, label, origin: 'rule', createdAt: now, lastUsedAt: now });
  const entry = { at: now, actor: serverActor, sessionId: null };
  await tx.appendAudit([
    { ...entry, action: 'user.added', target: user, detail: { role, with: provider.name, account: label, subject } },
  ]);
  const missingTeams: string[] = [];
  for (const team of new Set(teams)) {
    if ((await tx.team(team)) === null) {
      missingTeams.push(team);
      continue;
    }
    await tx.upsertTeamMember({ team, member: user, role: role === 'viewer' ? 'viewer' : 'member' });
    await tx.appendAudit([{ ...entry, action: 'team.member_set', target: team, detail: { member: user, with: provider.name } }]);
  }
  return { user, missingTeams };
}
