import type { AddTeamRequest, Team, TeamRole } from '../../protocol/users-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Store, StoreReads } from '../ports/store.ts';
import type { Principal } from './principal.ts';
import type { UserServiceOptions } from './user-service.ts';

/** Teams and who is in them. `by` is who does it, for the audit log. */
export interface TeamService {
  /** Those that somebody is in; for an owner of the installation all. By name. */
  list(principal: Principal): Promise<Team[]>;
  /** Throws `not_found`. */
  get(name: string): Promise<Team>;
  /** Its maker is its first owner. Throws `conflict` for a name that is taken. */
  add(request: AddTeamRequest, by: string): Promise<Team>;
  /** Its sessions become personal: their owners keep them. */
  remove(name: string, by: string): Promise<void>;
  /** Adds a member, or gives him another role. */
  setMember(name: string, member: string, role: TeamRole, by: string): Promise<Team>;
  removeMember(name: string, member: string, by: string): Promise<void>;
}

export function createTeamService({ store, clock, narrowed }: UserServiceOptions): TeamService {
  async function get(name: string, reads: Pick<StoreReads, 'team' | 'teamMembers'> = store.read): Promise<Team> {
    const record = await reads.team(name);
    if (record === null) throw new BerthError('not_found', `there is no team ${name}`, { field: 'team' });
    const members = await reads.teamMembers({ team: name });
    return { ...record, members: members.map(({ member, role }) => ({ user: member, role })) };
  }

  const told = (by: string, action: TeamAction, target: string, detail: Record<string, unknown> = {}) => [
    { at: clock.now().toISOString(), actor: actorOf(by), action, target, sessionId: null, detail },
  ];

  return {
    async list({ user, role }) {
      const teams = await store.read.teams();
      const members = await store.read.teamMembers({});
      return teams
        .map((record) => ({ ...record, members: membersOf(record.name, members) }))
        .filter((team) => role === 'owner' || team.members.some((member) => member.user === user));
    },
    get: (name) => get(name),

    add: ({ name, displayName = name }, by) =>
      store.transaction(async (tx) => {
        if ((await tx.team(name)) !== null) {
          throw new BerthError('conflict', `there is a team ${name}`, { field: 'name' });
        }
        await tx.insertTeam({ name, displayName, createdAt: clock.now().toISOString() });
        await tx.upsertTeamMember({ team: name, member: by, role: 'owner' });
        await tx.appendAudit(told(by, 'team.added', name));
        return get(name, tx);
      }),

    async remove(name, by) {
      await store.transaction(async (tx) => {
        await get(name, tx);
        await tx.deleteTeam(name);
        await tx.appendAudit(told(by, 'team.removed', name));
      });
      narrowed();
    },

    async setMember(name, member, role, by) {
      const team = await store.transaction(async (tx) => {
        await get(name, tx);
        if ((await tx.user(member)) === null) {
          throw new BerthError('not_found', `there is no user ${member}`, { field: 'handle' });
        }
        await tx.upsertTeamMember({ team: name, member, role });
        await tx.appendAudit(told(by, 'team.member_set', name, { member, role }));
        return get(name, tx);
      });
      narrowed();
      return team;
    },

    async removeMember(name, member, by) {
      await store.transaction(async (tx) => {
        const { members } = await get(name, tx);
        if (!members.some(({ user }) => user === member)) {
          throw new BerthError('not_found', `${member} is not in ${name}`, { field: 'handle' });
        }
        await tx.deleteTeamMember(name, member);
        await tx.appendAudit(told(by, 'team.member_removed', name, { member }));
      });
      narrowed();
    },
  };
}

type TeamAction = 'team.added' | 'team.removed' | 'team.member_set' | 'team.member_removed';

function membersOf(name: string, all: Awaited<ReturnType<Store['read']['teamMembers']>>): Team['members'] {
  return all.filter(({ team }) => team === name).map(({ member, role }) => ({ user: member, role }));
}
