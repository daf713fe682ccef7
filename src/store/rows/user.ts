import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { SessionShareRecord, TeamMemberRecord, TeamRecord, UserRecord } from '../../core/ports/store.ts';
import { shareRight, teamRole, userRole } from '../../protocol/users-api.ts';
import { check, fromJson, toJson } from '../json.ts';
import type { SessionSharesTable, TeamMembersTable, TeamsTable, UsersTable } from '../schema.ts';
import type { Columns } from './columns.ts';

const subjectKind = z.enum(['user', 'team']);
const rights = z.array(shareRight);

export function userColumns(user: Partial<UserRecord>): Columns<UsersTable> {
  return {
    handle: user.handle,
    display_name: user.displayName,
    role: user.role,
    disabled_at: user.disabledAt,
    created_at: user.createdAt,
  };
}

export function toUser(row: Selectable<UsersTable>): UserRecord {
  return {
    handle: row.handle,
    displayName: row.display_name,
    role: check(userRole, 'users.role', row.role),
    disabledAt: row.disabled_at,
    createdAt: row.created_at,
  };
}

export function teamColumns(team: TeamRecord): Columns<TeamsTable> {
  return { name: team.name, display_name: team.displayName, created_at: team.createdAt };
}

export function toTeam(row: Selectable<TeamsTable>): TeamRecord {
  return { name: row.name, displayName: row.display_name, createdAt: row.created_at };
}

export function toTeamMember(row: Selectable<TeamMembersTable>): TeamMemberRecord {
  return { team: row.team, member: row.member, role: check(teamRole, 'team_members.role', row.role) };
}

export function sessionShareColumns(share: SessionShareRecord): Columns<SessionSharesTable> {
  return {
    session_id: share.sessionId,
    subject_kind: share.subject.kind,
    subject: share.subject.name,
    rights: toJson(share.rights),
    by: share.by,
    created_at: share.createdAt,
  };
}

export function toSessionShare(row: Selectable<SessionSharesTable>): SessionShareRecord {
  return {
    sessionId: row.session_id,
    subject: { kind: check(subjectKind, 'session_shares.subject_kind', row.subject_kind), name: row.subject },
    rights: fromJson(rights, 'session_shares.rights', row.rights),
    by: row.by,
    createdAt: row.created_at,
  };
}
