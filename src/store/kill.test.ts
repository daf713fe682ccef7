import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sessionRecord } from '../../test/conformance/store-records.ts';
import { bundleProgram } from '../../test/fixtures/bundle-program.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import type { PostgresServer } from '../../test/fixtures/postgres.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../../test/fixtures/temporary-directory.ts';
import { openStore } from './open-store.fixture.ts';

/** Long enough for a hundred transactions, short enough to hit the first ones too. */
const maxLifeMs = 80;
let directory: TemporaryDirectory;
let writer: string;

beforeAll(async () => {
  directory = await temporaryDirectory('berth-kill-');
  writer = await bundleProgram(fileURLToPath(new URL('kill-writer.fixture.ts', import.meta.url)), directory.path);
});
afterAll(() => directory?.remove());

/** Lets the writer work for `lifeMs` after its first commit; returns the last `seq` it saw committed. */
async function writeAndKill(location: string, sessionId: string, lifeMs: number): Promise<number> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', writer], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { STORE: location, SESSION: sessionId, NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] },
  });
  const exited = once(child, 'exit');
  let output = '';
  let errors = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('latin1').on('data', (text: string) => (errors += text));
  try {
    await Promise.race([once(child.stdout, 'data'), exited]);
    await sleep(lifeMs);
  } finally {
    child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  expect(signal, errors).toBe('SIGKILL');
  const whole = output.slice(0, output.lastIndexOf('\n')).split('\n');
  return Number(whole.at(-1));
}

/** Asserts that the store holds whole transactions only, none of the acknowledged ones missing. */
async function expectWhole(location: string, sessionId: string, acknowledged: number): Promise<void> {
  const store = await openStore(location);
  try {
    const session = await store.read.session(sessionId);
    const events = await store.read.events(sessionId, 0, 1_000_000);
    expect(session?.lastSeq).toBeGreaterThanOrEqual(acknowledged);
    expect(session?.title).toBe(String(session?.lastSeq));
    expect(events.map((event) => event.seq)).toEqual(Array.from(events, (_, position) => position + 1));
    expect(events).toHaveLength(session?.lastSeq ?? -1);

    const imported = events.map(textOf).filter((text) => text !== 'own');
    expect(imported).toEqual(Array.from(imported, (_, position) => `journal ${position + 1}`));
    expect(imported).toHaveLength(session?.journalSeq ?? -1);

    // One turn is started or ended in each transaction, and each appends one event of the server's own.
    const turns = await store.read.turns(sessionId);
    const transactions = events.length - imported.length;
    expect(turns).toHaveLength(Math.ceil(transactions / 2));
    expect(turns.filter((turn) => turn.state === 'running')).toHaveLength(transactions % 2);
  } finally {
    await store.close();
  }
}

function textOf(event: { data: unknown }): string {
  return (event.data as { update: { content: { text: string } } }).update.content.text;
}

/** `settle` runs before each look at what a kill left. */
async function killRounds(location: string, rounds: number, settle: () => Promise<void> | void): Promise<void> {
  const store = await openStore(location);
  const session = sessionRecord({ title: '0' });
  await store.transaction((tx) => tx.insertSession(session));
  await store.close();
  for (let round = 0; round < rounds; round += 1) {
    const acknowledged = await writeAndKill(location, session.id, Math.random() * maxLifeMs);
    await settle();
    await expectWhole(location, session.id, acknowledged);
  }
}

describe('kills of a writer at random instants leave whole transactions only', () => {
  test('sqlite', { timeout: 120_000 }, async () => {
    const file = path.join(directory.path, 'store.db');
    await killRounds(file, 30, () => {});
    const database = new DatabaseSync(file, { readOnly: true });
    expect(database.prepare('pragma integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    database.close();
  });

  const missing = missingForPostgres();
  if (missing !== null) console.warn(`skipped: kill.test.ts on Postgres: ${missing}`);

  describe.skipIf(missing !== null)('postgres', () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server?.destroy());

    test('of the client', { timeout: 120_000 }, async () => {
      const url = await server.createDatabase();
      // What the victim sent last is carried out after its death.
      await killRounds(url, 20, () => expectNoConnection(url));
    });

    test('of the client and the database', { timeout: 120_000 }, async () => {
      const url = await server.createDatabase();
      await killRounds(url, 5, async () => {
        await server.kill();
        await server.start();
      });
    });

    async function expectNoConnection(url: string): Promise<void> {
      const others = `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
      await expect.poll(() => server.query(url, others), { timeout: 10_000 }).toEqual([]);
    }
  });
});
