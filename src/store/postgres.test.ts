import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { storeSuite } from '../../test/conformance/store.ts';
import { messageEvent, sessionRecord } from '../../test/conformance/store-records.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import type { PostgresServer } from '../../test/fixtures/postgres.ts';
import { createPostgresStore } from './postgres.ts';

const missing = missingForPostgres();
if (missing !== null) console.warn(`skipped: postgres.test.ts: ${missing}`);

describe.skipIf(missing !== null)('postgres', () => {
  let server: PostgresServer;
  /** Migrated, and otherwise empty. */
  let template: string;
  let url: string;
  beforeAll(async () => {
    server = await startPostgres();
    template = await server.createDatabase();
    await (await createPostgresStore({ url: template })).close();
    await expectNoConnection(template);
  });
  afterAll(() => server?.destroy());
  beforeEach(async () => {
    url = await server.createDatabase(template);
  });

  storeSuite('postgres', async () => {
    const open = () => createPostgresStore({ url });
    const sql = async (statements: string) => void (await server.query(url, statements));
    return {
      store: await open(),
      reopen: open,
      destroy: () => expectNoConnection(url),
      sql,
      tamper: (statements) => sql(`alter table audit disable trigger all; ${statements}`),
    };
  });

  /** A closed store has left nothing behind. */
  async function expectNoConnection(database: string): Promise<void> {
    const others = `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    await vi.waitFor(async () => expect(await server.query(database, others)).toEqual([]), { timeout: 5_000 });
  }

  async function givenSession(): Promise<string> {
    const store = await createPostgresStore({ url });
    const session = sessionRecord();
    await store.transaction(async (tx) => {
      await tx.insertSession(session);
      await tx.appendEvents(session.id, [messageEvent('a'), messageEvent('b')]);
    });
    await store.close();
    return session.id;
  }

  test('the database itself refuses to rewrite the log, whoever asks', async () => {
    await givenSession();
    await expect(server.query(url, `update events set data = '{}'`)).rejects.toThrow(/append-only/);
    await expect(server.query(url, 'delete from events where seq = 2')).rejects.toThrow(/append-only/);
    await expect(server.query(url, 'truncate events')).rejects.toThrow(/append-only/);
    await expect(server.query(url, 'truncate sessions cascade')).rejects.toThrow(/append-only/);
    await server.query(url, 'delete from sessions');
    expect(await server.query(url, 'select * from events')).toEqual([]);
  });

  test('stores that start at once on an empty database all work', async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => createPostgresStore({ url, poolSize: 1 })));
    await Promise.all(stores.map((store) => store.transaction((tx) => tx.insertSession(sessionRecord()))));
    expect(await stores[0]!.read.sessions({ limit: 10 })).toHaveLength(6);
    await Promise.all(stores.map((store) => store.close()));
  });

  test('a migration cut short leaves nothing, and is made by the next start', async () => {
    url = await server.createDatabase();
    // What the second table of the migration collides with.
    await server.query(url, 'create table journals (x int)');
    await expect(createPostgresStore({ url })).rejects.toMatchObject({ name: 'BerthError' });
    expect(await server.query(url, `select to_regclass('sessions') as found`)).toEqual([{ found: null }]);
    await server.query(url, 'drop table journals');
    await givenSession();
  });

  test('a database of a later version is refused', async () => {
    await givenSession();
    await server.query(url, `insert into kysely_migration (name, timestamp) values ('9999-later', '2030-01-01')`);
    await expect(createPostgresStore({ url })).rejects.toMatchObject({ name: 'BerthError' });
    await expectNoConnection(url);
  });

  test.each([
    ['a wrong password', (right: string) => right.replace(/:[0-9a-f]+@/, ':wrong@')],
    ['a database that does not exist', (right: string) => right.replace(/[^/]+$/, 'absent')],
    ['a port where nothing listens', (right: string) => right.replace(/:\d+\//, ':1/')],
  ])('%s is unavailable, told at the start', async (_, spoil) => {
    await expect(createPostgresStore({ url: spoil(url) })).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('transactions run beside each other', async () => {
    const store = await createPostgresStore({ url });
    const inside = { now: 0, most: 0 };
    const all = Promise.withResolvers<void>();
    const one = () =>
      store.transaction(async (tx) => {
        inside.now += 1;
        inside.most = Math.max(inside.most, inside.now);
        if (inside.now === 5) all.resolve();
        await tx.insertSession(sessionRecord());
        await Promise.race([all.promise, sleep(5_000)]);
        inside.now -= 1;
      });
    await Promise.all(Array.from({ length: 5 }, one));
    expect(inside.most).toBe(5);
    await store.close();
  });

  test('one that keeps losing is run alone at last, and wins', async () => {
    const id = await givenSession();
    const store = await createPostgresStore({ url });
    let attempts = 0;
    let rivals: Promise<void>[] = [];
    await store.transaction(async (tx) => {
      attempts += 1;
      const title = (await tx.session(id))?.title ?? '';
      // A rival that commits between our read and our write; when we are alone it waits for us.
      const rival = server.query(
        url,
        `begin; lock table transaction_gate in row share mode;
        update sessions set title = title || '!' where id = '${id}'; commit`,
      );
      rivals.push(rival.then(() => {}));
      await Promise.race([rival, sleep(200)]);
      await tx.updateSession(id, { title: `${title}+` });
    });
    await Promise.all(rivals);
    expect(attempts).toBe(5);
    expect((await store.read.session(id))?.title).toBe('Fix the build!!!!+!');
    await store.close();
  });

  test('two that would each overlook the other are not both applied', async () => {
    const [a, b] = [await givenSession(), await givenSession()];
    const store = await createPostgresStore({ url });
    // Write skew: each leaves its own session running only if the other's is not.
    const both = Promise.withResolvers<void>();
    let arrived = 0;
    const start = (own: string, other: string) =>
      store.transaction(async (tx) => {
        const free = (await tx.session(other))?.status !== 'running';
        arrived += 1;
        if (arrived === 2) both.resolve();
        await both.promise;
        if (free) await tx.updateSession(own, { status: 'running' });
        return free;
      });
    const started = await Promise.all([start(a, b), start(b, a)]);
    expect(started.filter(Boolean)).toHaveLength(1);
    await store.close();
  });

  test('a transaction that stands still is ended, and the pool goes on', async () => {
    const id = await givenSession();
    const store = await createPostgresStore({ url, poolSize: 1, idleTimeoutMs: 50 });
    const stuck = store.transaction(async (tx) => {
      await tx.updateSession(id, { title: 'stuck' });
      await sleep(300);
      await tx.updateSession(id, { title: 'late' });
    });
    await expect(stuck).rejects.toMatchObject({ retryable: true });
    await store.transaction((tx) => tx.updateSession(id, { title: 'next' }));
    expect((await store.read.session(id))?.title).toBe('next');
    await store.close();
  });

  test('a statement that takes too long is a timeout', async () => {
    const id = await givenSession();
    const store = await createPostgresStore({ url, statementTimeoutMs: 100 });
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    await holder.query(`begin; select 1 from sessions for update`);
    const blocked = store.transaction((tx) => tx.appendEvents(id, [messageEvent('x')]));
    await expect(blocked).rejects.toMatchObject({ code: 'timeout', retryable: true });
    await holder.query('rollback; begin; lock table transaction_gate in access exclusive mode');
    await expect(store.transaction((tx) => tx.session(id))).rejects.toMatchObject({ code: 'timeout' });
    await holder.end();
    expect(await store.transaction((tx) => tx.appendEvents(id, [messageEvent('x')]))).toBe(3);
    await store.close();
  });

  test('text with a NUL is stored with U+FFFD in its place', async () => {
    const store = await createPostgresStore({ url });
    const session = sessionRecord({ title: 'a\0b', env: { A: 'c\0d' } });
    await store.transaction((tx) => tx.insertSession(session));
    expect(await store.read.session(session.id)).toEqual({ ...session, title: 'a\u{fffd}b' });
    await store.close();
  });
});
