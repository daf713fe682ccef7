import { defaultQueueSettings } from '../core/turns/queue-settings.ts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { messageEvent, sessionRecord, turnRecord } from '../../test/conformance/store-records.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import type { PostgresServer } from '../../test/fixtures/postgres.ts';
import type { Settings } from '../core/dependencies.ts';
import type { Store } from '../core/ports/store.ts';
import { claimTurn } from '../core/turns/claim-turn.ts';
import { createPostgresStore } from './postgres.ts';

/** Two stores on one database, as two servers have them. */

const missing = missingForPostgres();
if (missing !== null) console.warn(`skipped: postgres-servers.test.ts: ${missing}`);

describe.skipIf(missing !== null)('two servers on one Postgres', () => {
  let server: PostgresServer;
  let url: string;
  let a: Store;
  let b: Store;

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.destroy());
  beforeEach(async () => {
    url = await server.createDatabase();
    [a, b] = await Promise.all([createPostgresStore({ url }), createPostgresStore({ url })]);
  });
  afterEach(() => Promise.all([a.close(), b.close()]));

  async function givenSession(): Promise<string> {
    const session = sessionRecord();
    await a.transaction((tx) => tx.insertSession(session));
    return session.id;
  }

  function listen(store: Store): [string, number][] {
    const heard: [string, number][] = [];
    store.onEvents((sessionId, lastSeq) => heard.push([sessionId, lastSeq]));
    return heard;
  }

  const append = (store: Store, id: string, text = 'x'): Promise<number> =>
    store.transaction((tx) => tx.appendEvents(id, [messageEvent(text)]));

  const expectSoon = (heard: [string, number][], expected: [string, number][]): Promise<void> =>
    expect.poll(() => heard, { timeout: 10_000 }).toEqual(expected);

  test('number the events of one session without gap or double', async () => {
    const id = await givenSession();
    const appended = Array.from({ length: 60 }, (_, position) => append(position % 2 === 0 ? a : b, id));
    const seqs = await Promise.all(appended);
    expect(seqs.toSorted((x, y) => x - y)).toEqual(Array.from({ length: 60 }, (_, position) => position + 1));
    expect((await b.read.events(id, 0, 100)).map((event) => event.seq)).toEqual(seqs.toSorted((x, y) => x - y));
  });

  test('import one journal at once without a double', async () => {
    const id = await givenSession();
    const entries = Array.from({ length: 50 }, (_, n) => messageEvent(`j${n + 1}`, { id: 'jnl', seq: n + 1 }));
    const batches = [0, 10, 20, 30, 40].flatMap((from) => [a, b].map((store) => ({ store, to: from + 10 })));
    await Promise.all(
      batches.map(({ store, to }) => store.transaction((tx) => tx.appendEvents(id, entries.slice(0, to)))),
    );
    expect(await a.read.events(id, 0, 100)).toHaveLength(50);
    expect(await a.read.session(id)).toMatchObject({ lastSeq: 50, journalSeq: 50 });
  });

  test('hear of each other’s events soon, and of their own at once and once', async () => {
    const id = await givenSession();
    const [heardByA, heardByB] = [listen(a), listen(b)];
    await append(a, id);
    expect(heardByA).toEqual([[id, 1]]);
    await expectSoon(heardByB, [[id, 1]]);
    await append(b, id);
    expect(heardByB).toEqual([
      [id, 1],
      [id, 2],
    ]);
    // Once A hears of 2, what it would have heard twice of 1 would have come before.
    await expectSoon(heardByA, [
      [id, 1],
      [id, 2],
    ]);
    const undone = b.transaction(async (tx) => {
      await tx.appendEvents(id, [messageEvent('undone')]);
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    await append(b, id);
    await expectSoon(heardByA, [
      [id, 1],
      [id, 2],
      [id, 3],
    ]);
  });

  test('find in the log what they heard of', async () => {
    const id = await givenSession();
    const found = new Promise<number>((resolve) => {
      b.onEvents((sessionId, lastSeq) => {
        void b.read.events(sessionId, lastSeq - 1, 1).then((events) => resolve(events.length));
      });
    });
    await append(a, id);
    expect(await found).toBe(1);
  });

  test('hear what was committed while they could not listen, and only that', async () => {
    const [old, changed, later] = [await givenSession(), await givenSession(), await givenSession()];
    const heardByB = listen(b);
    await append(a, old);
    await append(a, changed);
    await expectSoon(heardByB, [
      [old, 1],
      [changed, 1],
    ]);
    // Ends the listening connections, which are taken up again; the commit comes between.
    const ended = server.query(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'select id, last_seq%'`,
    );
    const [terminated] = await Promise.all([ended, append(a, changed), append(a, later)]);
    expect(terminated).toHaveLength(2);
    await expect.poll(() => heardByB.length, { timeout: 10_000 }).toBe(4);
    expect(new Map(heardByB.slice(2))).toEqual(
      new Map([
        [changed, 2],
        [later, 1],
      ]),
    );
    await append(a, old);
    await expect.poll(() => heardByB.at(-1), { timeout: 10_000 }).toEqual([old, 2]);
    expect(heardByB).toHaveLength(5);
  });

  test('never run two turns of one session', async () => {
    const id = await givenSession();
    const turns = Array.from({ length: 6 }, () => turnRecord(id));
    await a.transaction(async (tx) => {
      for (const turn of turns) await tx.insertTurn(turn);
    });
    const started = await Promise.allSettled(
      turns.map((turn, n) => (n % 2 === 0 ? a : b).transaction((tx) => tx.updateTurn(turn.id, { state: 'starting' }))),
    );
    expect(started.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of started) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'conflict' });
    }
  });

  test('claim each of 200 turns once, within the slots, in order', { timeout: 120_000 }, async () => {
    const turns = await a.transaction(async (tx) => {
      const records = [];
      for (let n = 0; n < 200; n += 1) {
        const session = sessionRecord();
        await tx.insertSession(session);
        const turn = turnRecord(session.id, { priority: n % 3 });
        await tx.insertTurn(turn);
        records.push(turn);
      }
      return records;
    });
    const slots = 190;
    const claimed: string[] = [];
    const clock = { now: () => new Date('2026-11-23T12:00:00Z') };
    const claimAll = async (store: Store): Promise<void> => {
      for (;;) {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what claiming uses of them
        const deps = { store, clock, settings: { slots, queue: defaultQueueSettings, quotas: { user: {}, team: {} } } } as unknown as {
          store: Store;
          settings: Settings;
        } & Parameters<typeof claimTurn>[0];
        const { turn, slotMissing } = await claimTurn(deps);
        if (turn === null) {
          expect(slotMissing).toBe(true);
          return;
        }
        claimed.push(turn.id);
      }
    };
    await Promise.all([claimAll(a), claimAll(b)]);
    expect(claimed).toHaveLength(slots);
    expect(new Set(claimed).size).toBe(slots);
    expect(await a.read.sandboxes()).toHaveLength(slots);
    const left = turns.filter(({ id }) => !claimed.includes(id));
    expect(new Set(left.map(({ priority }) => priority))).toEqual(new Set([0]));
    expect((await b.read.turnsInState(['starting'])).map(({ id }) => id).toSorted()).toEqual(claimed.toSorted());
  });
});
