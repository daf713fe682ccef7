import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { GithubAppRecord, RepositoryRecord, RepositorySettings } from '../../core/ports/store.ts';
import { permissionPolicy } from '../../protocol/permission-policy.ts';
import { check, fromJson, toJson } from '../json.ts';
import type { GithubAppTable, RepositoriesTable } from '../schema.ts';
import type { Columns } from './columns.ts';

const forges = z.enum(['github']).nullable();
const settings: z.ZodType<RepositorySettings> = z.object({
  triggers: z.object({ label: z.string().nullable(), mention: z.string().nullable(), assignee: z.boolean() }),
  agent: z.string().nullable(),
  template: z.string().nullable(),
  baseBranch: z.string().nullable(),
  // Absent in what an earlier version wrote.
  permissionPolicy: permissionPolicy.nullable().optional(),
});

export function repositoryColumns(repository: RepositoryRecord): Columns<RepositoriesTable> {
  return {
    id: repository.id,
    url: repository.url,
    forge: repository.forge,
    owner: repository.owner,
    name: repository.name,
    installation_id: repository.installationId,
    settings: toJson(repository.settings),
    created_at: repository.createdAt,
  };
}

export function toRepository(row: Selectable<RepositoriesTable>): RepositoryRecord {
  return {
    id: row.id,
    url: row.url,
    forge: check(forges, 'repositories.forge', row.forge),
    owner: row.owner,
    name: row.name,
    installationId: row.installation_id,
    settings: fromJson(settings, 'repositories.settings', row.settings),
    createdAt: row.created_at,
  };
}

export function githubAppColumns(app: GithubAppRecord): Columns<GithubAppTable> {
  return {
    singleton: 1,
    app_id: app.appId,
    slug: app.slug,
    name: app.name,
    client_id: app.clientId,
    sealed_private_key: app.sealedPrivateKey,
    sealed_webhook_secret: app.sealedWebhookSecret,
    sealed_client_secret: app.sealedClientSecret,
    api_url: app.apiUrl,
    html_url: app.htmlUrl,
    created_at: app.createdAt,
  };
}

export function toGithubApp(row: Selectable<GithubAppTable>): GithubAppRecord {
  return {
    appId: row.app_id,
    slug: row.slug,
    name: row.name,
    clientId: row.client_id,
    sealedPrivateKey: row.sealed_private_key,
    sealedWebhookSecret: row.sealed_webhook_secret,
    sealedClientSecret: row.sealed_client_secret,
    apiUrl: row.api_url,
    htmlUrl: row.html_url,
    createdAt: row.created_at,
  };
}
