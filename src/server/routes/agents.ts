import { createRoute, z } from '@hono/zod-openapi';
import { agentInfo, finding } from '../../protocol/api.ts';
import type { ModelApi } from '../../protocol/keys.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

export function agentRoutes(app: Router, deps: AppDependencies): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/agents',
      security: tokenNeeded,
      responses: { 200: json(z.object({ agents: z.array(agentInfo) }), 'The known agents'), ...failures },
    }),
    async (c) => {
      const apis = (await deps.usableApis?.(c.get('identity'))) ?? new Set<ModelApi>();
      const agents = await Promise.all(
        deps.agents.list().map(async (agent) => ({
          name: agent.name,
          title: agent.title,
          model: agent.model,
          hasKey: agent.model === 'none' || apis.has(agent.model),
          installed: await deps.installer.isInstalled(agent),
        })),
      );
      return c.json({ agents }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/doctor',
      security: tokenNeeded,
      responses: { 200: json(z.object({ findings: z.array(finding) }), 'What the host has'), ...failures },
    }),
    async (c) => c.json({ findings: [...(await deps.report())] }, 200),
  );
}
