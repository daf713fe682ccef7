import type { TeamRole } from '../../protocol/users-api.ts';
import type { SessionRecord, SnapshotRecord, StoreReads, TaskRecord, TokenRecord } from '../ports/store.ts';
import type { Right } from './permissions.ts';
import type { Principal } from './principal.ts';

const all: readonly Right[] = ['view', 'prompt', 'answer', 'manage'];

/** What a team's members may do with its sessions. */
const inTeam: Record<TeamRole, readonly Right[]> = {
  owner: all,
  member: ['view', 'prompt', 'answer'],
  viewer: ['view'],
};

export type RightsReads = Pick<StoreReads, 'session' | 'teamMembers' | 'sessionShares'>;

/**
 * What somebody may do with a session: everything as its owner or the installation's; else what his role in its team
 * gives and what was shared with him and his teams, together.
 */
export async function sessionRights(
  reads: RightsReads,
  principal: Principal,
  session: Pick<SessionRecord, 'id' | 'owner' | 'team'>,
): Promise<ReadonlySet<Right>> {
  const { user, role } = principal;
  if (role === 'owner' || session.owner === user) return capped(principal, all);
  const memberships = await reads.teamMembers({ member: user });
  const rights: Right[] = [];
  const own = memberships.find(({ team }) => team === session.team);
  if (own !== undefined) rights.push(...inTeam[own.role]);
  const teams = new Set(memberships.map(({ team }) => team));
  for (const { subject, rights: shared } of await reads.sessionShares(session.id)) {
    const isHis = subject.kind === 'user' ? subject.name === user : teams.has(subject.name);
    if (isHis) rights.push('view', ...shared);
  }
  return capped(principal, rights);
}

/** Snapshots are their owner's alone: they outlive the session, and with it what was shared. */
export function snapshotRights(principal: Principal, { owner }: Pick<SnapshotRecord, 'owner'>): ReadonlySet<Right> {
  return capped(principal, principal.role === 'owner' || owner === principal.user ? all : []);
}

/** Those on its session; before it has one, it is its requester's. */
export async function taskRights(
  reads: RightsReads,
  principal: Principal,
  { sessionId, trigger }: Pick<TaskRecord, 'sessionId' | 'trigger'>,
): Promise<ReadonlySet<Right>> {
  const session = sessionId === null ? null : await reads.session(sessionId);
  if (session !== null) return sessionRights(reads, principal, session);
  const isRequester = trigger.kind === 'request' && trigger.login === principal.user;
  return capped(principal, principal.role === 'owner' || isRequester ? all : []);
}

/** To see a team and to change it. */
export async function teamRights(
  reads: Pick<StoreReads, 'teamMembers'>,
  principal: Principal,
  team: string,
): Promise<ReadonlySet<Right>> {
  if (principal.role === 'owner') return new Set<Right>(['view', 'manage']);
  const own = (await reads.teamMembers({ team, member: principal.user }))[0];
  if (own === undefined) return new Set();
  return capped(principal, own.role === 'owner' ? ['view', 'manage'] : ['view']);
}

/** One's own, whatever one's role. */
export function tokenRights({ user, role }: Principal, { owner }: Pick<TokenRecord, 'owner'>): ReadonlySet<Right> {
  return new Set<Right>(role === 'owner' || owner === user ? ['view', 'manage'] : []);
}

/** A viewer of the installation looks, whatever he has or was given. */
function capped({ role }: Principal, rights: readonly Right[]): ReadonlySet<Right> {
  return new Set(role === 'viewer' ? rights.filter((right) => right === 'view') : rights);
}
