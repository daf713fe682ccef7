import { createRoute, z } from '@hono/zod-openapi';
import { actorOf } from '../../core/audit/actor.ts';
import { checkBranchName } from '../../core/git-names.ts';
import type { AgentCatalog } from '../../core/ports/agent.ts';
import type { ForgeApp } from '../../core/ports/forge-app.ts';
import type { RepositoryRecord, RepositorySettings, Store } from '../../core/ports/store.ts';
import { viewRepository } from '../../core/tasks/task-view.ts';
import { BerthError } from '../../protocol/errors.ts';
import { repository, repositoryChange, type RepositoryChange } from '../../protocol/forge-api.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

/** Many installations, each with many pages. */
const syncTimeoutMs = 5 * 60_000;

export interface RepositoryRoutesOptions {
  store: Store;
  agents: AgentCatalog;
  forgeApp: ForgeApp;
}

/** Repositories that a forge lets Berth reach, and what starts work in them. */
export function repositoryRoutes({ store, agents, forgeApp }: RepositoryRoutesOptions): Extension {
  const list = z.object({ repositories: z.array(repository) });
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/repositories',
        security: tokenNeeded,
        responses: { 200: json(list, 'By address'), ...failures },
      }),
      async (c) => {
        const records = (await store.read.repositories()).filter((record) => record.installationId !== null);
        return c.json({ repositories: records.map(viewRepository) }, 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/repositories',
        security: tokenNeeded,
        responses: { 200: json(list, 'As the forge says now'), ...failures },
      }),
      async (c) => {
        const records = await forgeApp.syncRepositories(AbortSignal.timeout(syncTimeoutMs));
        return c.json({ repositories: records.map(viewRepository) }, 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'patch',
        path: '/api/repositories/{id}',
        security: tokenNeeded,
        request: { params: z.object({ id: z.string().min(1).max(100) }), ...jsonBody(repositoryChange) },
        responses: { 200: json(repository, 'The repository'), ...failures },
      }),
      async (c) => {
        const change = c.req.valid('json');
        if (typeof change.agent === 'string') agents.get(change.agent);
        if (typeof change.baseBranch === 'string') checkBranchName(change.baseBranch, 'baseBranch');
        const changed = await store.transaction(async (tx): Promise<RepositoryRecord> => {
          const record = await tx.repository(c.req.valid('param').id);
          if (record === null) throw new BerthError('not_found', 'there is no such repository', { field: 'id' });
          const next = { ...record, settings: changeSettings(record.settings, change) };
          await tx.upsertRepository(next);
          await tx.appendAudit([
            {
              at: new Date().toISOString(),
              actor: actorOf(c.get('identity').user),
              action: 'repository.changed',
              target: record.url,
              sessionId: null,
              detail: { ...change },
            },
          ]);
          return next;
        });
        return c.json(viewRepository(changed), 200);
      },
    );
  };
}

function changeSettings(settings: RepositorySettings, change: RepositoryChange): RepositorySettings {
  const { label, mention, assignee } = change.triggers ?? {};
  return {
    triggers: {
      label: label === undefined ? settings.triggers.label : label,
      mention: mention === undefined ? settings.triggers.mention : withAt(mention),
      assignee: assignee ?? settings.triggers.assignee,
    },
    agent: change.agent === undefined ? settings.agent : change.agent,
    template: change.template === undefined ? settings.template : change.template,
    baseBranch: change.baseBranch === undefined ? settings.baseBranch : change.baseBranch,
    permissionPolicy: change.permissionPolicy === undefined ? settings.permissionPolicy : change.permissionPolicy,
  };
}

function withAt(mention: string | null): string | null {
  return mention === null || mention.startsWith('@') ? mention : `@${mention}`;
}
