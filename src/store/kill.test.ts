import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sessionRecord } from '../../test/conformance/store-records.ts';
import { createSqliteStore } from './sqlite.ts';

const rounds = 30;
/** Long enough for a hundred transactions, short enough to hit the first ones too. */
const maxLifeMs = 80;
const writer = fileURLToPath(new URL('kill-writer.fixture.ts', import.meta.url));

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'berth-kill-'));
  file = path.join(directory, 'store.db');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Lets the writer work for `lifeMs` after its first commit; returns the last `seq` it saw committed. */
async function writeAndKill(sessionId: string, lifeMs: number): Promise<number> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', writer, file, sessionId], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
  });
  const exited = once(child, 'exit');
  let output = '';
  let errors = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('latin1').on('data', (text: string) => (errors += text));
  try {
    await Promise.race([once(child.stdout, 'data'), exited]);
    await new Promise((resolve) => setTimeout(resolve, lifeMs));
  } finally {
    child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  expect(signal, errors).toBe('SIGKILL');
  const whole = output.slice(0, output.lastIndexOf('\n')).split('\n');
  return Number(whole.at(-1));
}

/** Asserts that the file holds whole transactions only, none of the acknowledged ones missing. */
async function expectWhole(sessionId: string, acknowledged: number): Promise<void> {
  const store = await createSqliteStore({ path: file });
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
  const database = new DatabaseSync(file, { readOnly: true });
  expect(database.prepare('pragma integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  database.close();
}

function textOf(event: { data: unknown }): string {
  return (event.data as { update: { content: { text: string } } }).update.content.text;
}

test(`${rounds} kills at random instants leave whole transactions only`, { timeout: 120_000 }, async () => {
  const store = await createSqliteStore({ path: file });
  const session = sessionRecord({ title: '0' });
  await store.transaction((tx) => tx.insertSession(session));
  await store.close();
  for (let round = 0; round < rounds; round += 1) {
    const acknowledged = await writeAndKill(session.id, Math.random() * maxLifeMs);
    await expectWhole(session.id, acknowledged);
  }
});
