import { z } from 'zod';
import { team, type AddTeamRequest, type Team, type TeamRole } from '../../protocol/users-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

export interface TeamsResource {
  /** Those that the caller is in; all of them for an owner of the installation. */
  list(options?: CallOptions): Promise<Team[]>;
  get(name: string, options?: CallOptions): Promise<Team>;
  add(input: AddTeamRequest, options?: CallOptions): Promise<Team>;
  /** Its sessions are their owners' alone then. */
  remove(name: string, options?: CallOptions): Promise<void>;
  /** Adds a member, or gives him another role. */
  setMember(name: string, handle: string, role: TeamRole, options?: CallOptions): Promise<Team>;
  removeMember(name: string, handle: string, options?: CallOptions): Promise<void>;
}

export function createTeamsResource(transport: Transport): TeamsResource {
  const path = (name: string) => `/api/teams/${encodeURIComponent(name)}`;
  const member = (name: string, handle: string) => `${path(name)}/members/${encodeURIComponent(handle)}`;
  return {
    async list(options) {
      return (await transport.json(z.object({ teams: z.array(team) }), 'GET', '/api/teams', options)).teams;
    },
    get: (name, options) => transport.json(team, 'GET', path(name), options),
    add: (input, options) => transport.json(team, 'POST', '/api/teams', { json: input, ...options }),
    remove: (name, options) => transport.empty('DELETE', path(name), options),
    setMember: (name, handle, role, options) =>
      transport.json(team, 'PUT', member(name, handle), { json: { role }, idempotent: true, ...options }),
    removeMember: (name, handle, options) => transport.empty('DELETE', member(name, handle), options),
  };
}
