import { createRoute, z } from '@hono/zod-openapi';
import { addTeamRequest, team, teamMemberRequest } from '../../protocol/users-api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

const teamParams = z.object({ team: z.string().min(1).max(100) });
const memberParams = teamParams.extend({ handle: z.string().min(1).max(100) });

export function teamRoutes(app: Router, { core }: AppDependencies): void {
  const { teams } = core.accounts;

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/teams',
      security: tokenNeeded,
      responses: { 200: json(z.object({ teams: z.array(team) }), 'Those that the caller is in, by name'), ...failures },
    }),
    async (c) => c.json({ teams: await teams.list(c.get('identity')) }, 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/teams',
      security: tokenNeeded,
      request: jsonBody(addTeamRequest),
      responses: { 201: json(team, 'The team; its maker owns it'), ...failures },
    }),
    async (c) => c.json(await teams.add(c.req.valid('json'), c.get('identity').user), 201),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/teams/{team}',
      security: tokenNeeded,
      request: { params: teamParams },
      responses: { 200: json(team, 'The team'), ...failures },
    }),
    async (c) => c.json(await teams.get(c.req.valid('param').team), 200),
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/teams/{team}',
      security: tokenNeeded,
      request: { params: teamParams },
      responses: { 204: { description: 'The team is gone; its sessions are their owners’ alone' }, ...failures },
    }),
    async (c) => {
      await teams.remove(c.req.valid('param').team, c.get('identity').user);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/teams/{team}/members/{handle}',
      security: tokenNeeded,
      request: { params: memberParams, ...jsonBody(teamMemberRequest) },
      responses: { 200: json(team, 'The team with the member'), ...failures },
    }),
    async (c) => {
      const { team: name, handle } = c.req.valid('param');
      return c.json(await teams.setMember(name, handle, c.req.valid('json').role, c.get('identity').user), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/teams/{team}/members/{handle}',
      security: tokenNeeded,
      request: { params: memberParams },
      responses: { 204: { description: 'Out of the team, and of what he has open of it' }, ...failures },
    }),
    async (c) => {
      const { team: name, handle } = c.req.valid('param');
      await teams.removeMember(name, handle, c.get('identity').user);
      return c.body(null, 204);
    },
  );
}
