import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toGithubApp, toRepository } from '../rows/github.ts';
import type { Database } from '../schema.ts';

export function githubReads(
  db: Kysely<Database>,
): Pick<StoreReads, 'repository' | 'repositoryByUrl' | 'repositories' | 'githubApp'> {
  return {
    async repository(id) {
      const row = await db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toRepository(row);
    },

    async repositoryByUrl(url) {
      const row = await db.selectFrom('repositories').selectAll().where('url', '=', url).executeTakeFirst();
      return row === undefined ? null : toRepository(row);
    },

    async repositories() {
      const rows = await db.selectFrom('repositories').selectAll().orderBy('url').execute();
      return rows.map(toRepository);
    },

    async githubApp() {
      const row = await db.selectFrom('github_app').selectAll().executeTakeFirst();
      return row === undefined ? null : toGithubApp(row);
    },
  };
}
