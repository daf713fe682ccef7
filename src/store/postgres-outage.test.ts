import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { messageEvent, sessionRecord } from '../../test/conformance/store-records.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import type { PostgresServer } from '../../test/fixtures/postgres.ts';
import type { Store } from '../core/ports/store.ts';
import { createPostgresStore } from './postgres.ts';

/** The database is taken away in the middle of work, and comes back. */

const missing = missingForPostgres();
if (missing !== null) console.warn(`skipped: postgres-outage.test.ts: ${missing}`);

describe.skipIf(missing !== null)('a Postgres that goes away', () => {
  let server: PostgresServer;
  let a: Store;
  let b: Store;
  let id: string;

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.destroy());

  beforeEach(async () => {
    const url = await server.createDatabase();
    [a, b] = await Promise.all([createPostgresStore({ url }), createPostgresStore({ url })]);
    const session = sessionRecord();
    id = session.id;
    await a.transaction((tx) => tx.insertSession(session));
  });
  afterEach(async () => {
    await Promise.all([a?.close(), b?.close()]);
  });

  const append = (store: Store, text: string): Promise<number> =>
    store.transaction((tx) => tx.appendEvents(id, [messageEvent(text)]));

  test('is unavailable until it is back, then everything goes on', async () => {
    const heard: number[] = [];
    b.onEvents((_, lastSeq) => heard.push(lastSeq));
    await server.stop('fast');
    await expect(append(a, 'x')).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    await expect(a.read.session(id)).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    await server.start();
    expect(await append(a, 'x')).toBe(1);
    expect((await b.read.session(id))?.lastSeq).toBe(1);
    await expect.poll(() => heard, { timeout: 15_000 }).toEqual([1]);
    await append(a, 'y');
    await expect.poll(() => heard, { timeout: 15_000 }).toEqual([1, 2]);
  });

  test('fails the transaction it interrupts, which leaves nothing', async () => {
    const interrupted = a.transaction(async (tx) => {
      await tx.appendEvents(id, [messageEvent('lost')]);
      await server.stop('fast');
      // The connection's end is told here, with no statement under way.
      await new Promise((resolve) => setTimeout(resolve, 50));
      await tx.updateSession(id, { title: 'lost' });
    });
    await expect(interrupted).rejects.toMatchObject({ code: 'unavailable' });
    await server.start();
    expect(await a.read.session(id)).toMatchObject({ title: 'Fix the build', lastSeq: 0 });
    expect(await append(a, 'kept')).toBe(1);
  });

  test('can be closed without', async () => {
    await server.stop('immediate');
    await Promise.all([a.close(), b.close()]);
    await server.start();
  });

  test.each(['fast', 'immediate', 'kill'] as const)(
    'under load (%s) loses nothing that was acknowledged and repeats nothing',
    { timeout: 120_000 },
    async (how) => {
      const outcomes = { acknowledged: new Set<string>(), unknown: new Set<string>() };
      let done = false;
      const work = async (store: Store, name: string): Promise<void> => {
        for (let n = 0; !done; n += 1) {
          const text = `${name}${n}`;
          try {
            await append(store, text);
            outcomes.acknowledged.add(text);
          } catch (error) {
            expect(error).toMatchObject({ code: 'unavailable' });
            outcomes.unknown.add(text);
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
        }
      };
      const workers = [work(a, 'a'), work(b, 'b')];
      for (let round = 0; round < 4; round += 1) {
        await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200));
        await (how === 'kill' ? server.kill() : server.stop(how));
        await server.start();
      }
      const before = outcomes.acknowledged.size;
      await expect.poll(() => outcomes.acknowledged.size, { timeout: 15_000 }).toBeGreaterThan(before + 10);
      done = true;
      await Promise.all(workers);

      const events = await a.read.events(id, 0, 1_000_000);
      const texts = events.map(textOf);
      expect(events.map(({ seq }) => seq)).toEqual(Array.from(events, (_, n) => n + 1));
      expect(new Set(texts).size).toBe(texts.length);
      const stored = new Set(texts);
      expect([...outcomes.acknowledged].filter((text) => !stored.has(text))).toEqual([]);
      expect(texts.filter((text) => !outcomes.acknowledged.has(text) && !outcomes.unknown.has(text))).toEqual([]);
    },
  );
});

function textOf(event: { data: unknown }): string {
  return (event.data as { update: { content: { text: string } } }).update.content.text;
}
