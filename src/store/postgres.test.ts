import { afterAll, beforeAll, describe } from 'vitest';
import { storeSuite } from '../../test/conformance/store.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import type { PostgresServer } from '../../test/fixtures/postgres.ts';
import { createPostgresStore } from './postgres.ts';

const missing = missingForPostgres();
if (missing !== null) console.warn(`skipped: postgres.test.ts: ${missing}`);

describe.skipIf(missing !== null)('postgres', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.destroy());

  storeSuite('postgres', async () => {
    const url = await server.createDatabase();
    const open = () => createPostgresStore({ url });
    return { store: await open(), reopen: open, destroy: async () => {} };
  });
});
