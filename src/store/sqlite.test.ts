import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { storeSuite } from '../../test/conformance/store.ts';
import { messageEvent, sessionRecord } from '../../test/conformance/store-records.ts';
import { createStore } from './create-store.ts';
import { createEventListeners } from './event-listeners.ts';
import type { Database } from './schema.ts';
import { createSqliteStore } from './sqlite.ts';
import { NodeSqliteDialect } from './sqlite/dialect.ts';
import { sqliteEngine } from './sqlite/engine.ts';
import { openDatabase } from './sqlite/open.ts';
import { createLoneChannel } from './work-channel.ts';

const makeDirectory = (): Promise<string> => mkdtemp(path.join(tmpdir(), 'berth-sqlite-test-'));

storeSuite('sqlite', async () => {
  const directory = await makeDirectory();
  const file = path.join(directory, 'store.db');
  const open = () => createSqliteStore({ path: file });
  async function sql(statements: string): Promise<void> {
    const database = new DatabaseSync(file);
    try {
      database.exec(statements);
    } finally {
      database.close();
    }
  }
  return {
    store: await open(),
    reopen: open,
    destroy: () => rm(directory, { recursive: true, force: true }),
    sql,
    tamper: (statements) =>
      sql(`drop trigger if exists audit_no_update; drop trigger if exists audit_no_delete; ${statements}`),
  };
});

describe('sqlite', () => {
  let directory: string;
  let file: string;

  beforeEach(async () => {
    directory = await makeDirectory();
    file = path.join(directory, 'store.db');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function withDatabase<T>(use: (database: DatabaseSync) => T | Promise<T>): Promise<T> {
    const database = new DatabaseSync(file);
    try {
      return await use(database);
    } finally {
      database.close();
    }
  }

  async function storeOneSession(): Promise<string> {
    const store = await createSqliteStore({ path: file });
    const session = sessionRecord();
    await store.transaction(async (tx) => {
      await tx.insertSession(session);
      await tx.appendEvents(session.id, [messageEvent('a'), messageEvent('b')]);
    });
    await store.close();
    return session.id;
  }

  test('the database itself refuses to rewrite the log, whoever asks', async () => {
    await storeOneSession();
    await withDatabase((database) => {
      expect(() => database.exec(`update events set data = '{}'`)).toThrow(/append-only/);
      expect(() => database.exec('delete from events where seq = 2')).toThrow(/append-only/);
      expect(() => database.exec('delete from sessions')).not.toThrow();
      expect(database.prepare('select count(*) as n from events').get()).toEqual({ n: 0 });
    });
  });

  test('the log is not replaced row by row either', async () => {
    await storeOneSession();
    const database = openDatabase({ path: file, busyTimeoutMs: 0 });
    const replace = `insert or replace into events select session_id, seq, at, turn_id, type, '{}' from events`;
    expect(() => database.writer.exec(replace)).toThrow(/append-only/);
    database.close();
  });

  test('a full disk is resource_exhausted, undoes the transaction, and passes', async () => {
    const id = await storeOneSession();
    const database = openDatabase({ path: file, busyTimeoutMs: 0 });
    const limitPages = (pages: number) => database.writer.exec(`pragma max_page_count = ${pages}`);
    const db = new Kysely<Database>({ dialect: new NodeSqliteDialect(database.writer) });
    const store = createStore({
      work: createLoneChannel(),
      transact: (body) => db.transaction().execute(body),
      reader: db,
      engine: sqliteEngine,
      listeners: createEventListeners(),
      release: async () => database.close(),
    });
    const large = Array.from({ length: 100 }, () => messageEvent('x'.repeat(10_000)));
    limitPages(1); // Which SQLite raises to the present size.
    const full = store.transaction((tx) => tx.appendEvents(id, large));
    await expect(full).rejects.toMatchObject({ code: 'resource_exhausted' });
    expect((await store.read.session(id))?.lastSeq).toBe(2);
    limitPages(1_000_000);
    expect(await store.transaction((tx) => tx.appendEvents(id, large))).toBe(102);
    await store.close();
  });

  test('runs in WAL mode, synced at every commit, for the owner alone', async () => {
    const store = await createSqliteStore({ path: file });
    await store.transaction(async (tx) => tx.insertSession(sessionRecord()));
    expect((await readdir(directory)).sort()).toEqual(['store.db', 'store.db-shm', 'store.db-wal']);
    for (const name of await readdir(directory)) {
      expect((await stat(path.join(directory, name))).mode & 0o777).toBe(0o600);
    }
    await store.close();
    expect(await readdir(directory)).toEqual(['store.db']);
  });

  test('stored JSON that is not what it should be is named, not passed on', async () => {
    const id = await storeOneSession();
    await withDatabase((database) => database.exec(`update sessions set limits = '{"cpus":"many"}'`));
    const store = await createSqliteStore({ path: file });
    await expect(store.read.session(id)).rejects.toMatchObject({
      code: 'internal',
      context: { column: 'sessions.limits' },
    });
    await store.close();
  });

  test('a lock held by another process is unavailable, and passes', async () => {
    const id = await storeOneSession();
    const store = await createSqliteStore({ path: file, busyTimeoutMs: 20 });
    await withDatabase(async (database) => {
      database.exec('begin immediate');
      const blocked = store.transaction((tx) => tx.updateSession(id, { title: 'x' }));
      await expect(blocked).rejects.toMatchObject({ code: 'unavailable', retryable: true });
      expect((await store.read.session(id))?.id).toBe(id);
      database.exec('rollback');
      await store.transaction((tx) => tx.updateSession(id, { title: 'x' }));
    });
    await store.close();
  });

  test('a directory that does not exist is unavailable, and not made', async () => {
    const absent = createSqliteStore({ path: path.join(directory, 'absent', 'store.db') });
    await expect(absent).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('absent') });
    expect(await readdir(directory)).toEqual([]);
  });

  test('a file that is no database is refused and left alone', async () => {
    await writeFile(file, 'this is not a database, and it is long enough to be seen as none'.repeat(20));
    await expect(createSqliteStore({ path: file })).rejects.toMatchObject({ code: 'internal' });
    expect((await readFile(file, 'utf8')).startsWith('this is not')).toBe(true);
  });

  test('a database of a later version is refused', async () => {
    await storeOneSession();
    await withDatabase((database) =>
      database.exec(`insert into kysely_migration (name, timestamp) values ('9999-later', '2030-01-01T00:00:00.000Z')`),
    );
    await expect(createSqliteStore({ path: file })).rejects.toMatchObject({ name: 'BerthError' });
  });

  test(':memory: works alike and leaves nothing', async () => {
    const before = new Set(await readdir(tmpdir()));
    const store = await createSqliteStore({ path: ':memory:' });
    const session = sessionRecord();
    await store.transaction(async (tx) => {
      await tx.insertSession(session);
      expect(await store.read.session(session.id)).toBeNull();
    });
    expect(await store.read.session(session.id)).toEqual(session);
    await store.close();
    const left = (await readdir(tmpdir())).filter((name) => name.startsWith('berth-store-') && !before.has(name));
    expect(left).toEqual([]);
  });
});
