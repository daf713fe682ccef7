import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { githubAppColumns, repositoryColumns } from '../rows/github.ts';
import type { Database } from '../schema.ts';

export function githubWrites(db: Kysely<Database>): Pick<StoreTransaction, 'upsertRepository' | 'saveGithubApp'> {
  return {
    /** By id, so that a renamed repository keeps its tasks. Throws `conflict` when another id has the URL. */
    async upsertRepository(record) {
      const columns = complete(repositoryColumns(record));
      await db
        .insertInto('repositories')
        .values(columns)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(columns))
        .execute();
    },

    /** Replaces the one there is. */
    async saveGithubApp(record) {
      const columns = complete(githubAppColumns(record));
      await db
        .insertInto('github_app')
        .values(columns)
        .onConflict((conflict) => conflict.column('singleton').doUpdateSet(columns))
        .execute();
    },
  };
}
