import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue as BullQueue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createCore } from '../../src/core/create-core.ts';
import type { Queue } from '../../src/core/ports/queue.ts';
import type { Store } from '../../src/core/ports/store.ts';
import { createWorld } from '../../src/core/testing/doubles.ts';
import { systemClock } from '../../src/main/system-clock.ts';
import { createRedisQueue } from '../../src/queue/redis-queue.ts';
import { createStoreQueue } from '../../src/queue/store-queue.ts';
import { createPostgresStore } from '../../src/store/postgres.ts';
import { createSqliteStore } from '../../src/store/sqlite.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import { missingForRedis, startRedis } from '../../test/fixtures/redis.ts';
import { silent, soon } from '../host.ts';
import { compare, timed, type Contender } from '../measure.ts';
import { ratioRow, skippedRow, type Row } from '../table.ts';
import type { BenchCase } from './case.ts';

const slots = 10;
const plainName = 'BullMQ, plainly';
const latency = 'queue: from asking to the start of the work';
const full = 'queue: to be admitted to a full one';

/**
 * What the queue costs: the whole core with real stores and brokers, sandboxes and agents in memory. BullMQ used plainly
 * keeps a job in Redis, without its owner's share, its place, its log or a disk; that is what ours is compared with.
 */
export const queue: BenchCase = {
  name: 'queue',
  needsDocker: false,
  async run({ quick, say }) {
    const missing = missingForPostgres() ?? missingForRedis();
    if (missing !== null) return [skippedRow(latency, plainName, missing)];
    const turns = quick ? 30 : 100;
    const waiting = quick ? 300 : 2000;
    const directory = await mkdtemp(join(tmpdir(), 'berth-bench-queue-'));
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    const opened: Side[] = [];
    try {
      const storeOnly = (store: Store) => createStoreQueue({ store, clock: systemClock, logger: silent });
      const overRedis = () => createRedisQueue({ url: redis.url, clock: systemClock, logger: silent });
      const sqlite = await createSqliteStore({ path: join(directory, 'store.db') });
      opened.push(await openBerth('SQLite', sqlite, storeOnly(sqlite)));
      for (const [name, queueOf] of [
        ['PostgreSQL', storeOnly],
        ['PostgreSQL and Redis', overRedis],
      ] as const) {
        const store = await createPostgresStore({ url: await postgres.createDatabase() });
        opened.push(await openBerth(name, store, queueOf(store)));
      }
      const plain = await openPlain(redis.url);
      opened.push(plain);

      const rows: Row[] = [];
      const measure = async (what: string, run: (side: Side) => Promise<number>, rounds: number): Promise<void> => {
        say(what);
        const contenders: Contender[] = opened.map((side) => ({ name: side.name, measureMs: () => run(side) }));
        const samples = await compare(contenders, { warmUp: 2, rounds, pauseMs: 20 });
        for (const side of opened) {
          if (side === plain) continue;
          rows.push(
            ratioRow(`${what} (${side.name})`, samples.get(side.name)!, plainName, samples.get(plain.name)!, null),
          );
        }
      };
      await measure(latency, (side) => side.start(), quick ? 10 : 50);
      await measure(
        `queue: ${turns} at once through ${slots} slots`,
        (side) => timed(() => side.drain(turns)),
        quick ? 2 : 8,
      );
      say(`filling each with ${waiting}`);
      for (const side of opened) await side.fill(waiting);
      await measure(`${full} (${waiting} wait)`, (side) => timed(() => side.ask()), quick ? 5 : 20);
      return rows;
    } finally {
      for (const side of opened) await side.close();
      await Promise.all([redis.destroy(), postgres.destroy()]);
      await rm(directory, { recursive: true, force: true });
    }
  },
};

/** One way of queueing. */
interface Side {
  name: string;
  /** Asks for one piece of work; resolves, when it has ended, to how long it was until it began. */
  start(): Promise<number>;
  /** Asks for so many at once, each of which ends at once; resolves at the end of the last. */
  drain(count: number): Promise<void>;
  /** Takes every slot for good, and lets so many wait. */
  fill(count: number): Promise<void>;
  /** Asks for one more. */
  ask(): Promise<void>;
  close(): Promise<void>;
}

async function openBerth(name: string, store: Store, queueDriver: Queue): Promise<Side> {
  const world = createWorld(store, { slots }, systemClock);
  world.deps = { ...world.deps, queue: queueDriver };
  const core = createCore(world.deps);
  await core.start(soon());
  let holds = false;
  let begun = (): void => {};
  world.onStarted = (turnId) => {
    begun();
    if (!holds) setImmediate(() => world.endTurn(turnId));
  };
  const session = async (owner: number): Promise<string> =>
    (await core.sessions.create({ agent: 'any', permissions: 'allow' }, `owner-${owner}`, soon())).id;
  const prompt = async (id: string): Promise<string> =>
    (await core.sessions.prompt(id, { prompt: 'go' }, 'bench')).turn.id;
  const reused = await session(0);
  return {
    name,
    async start() {
      const askedMs = performance.now();
      const started = new Promise<number>((resolve) => (begun = () => resolve(performance.now())));
      const turnId = await prompt(reused);
      const tookMs = (await started) - askedMs;
      begun = () => {};
      await core.sessions.waitForTurn(reused, turnId, soon());
      return tookMs;
    },
    async drain(count) {
      const ids = await Promise.all(Array.from({ length: count }, (_, n) => session(n % 10)));
      await Promise.all(ids.map(async (id) => core.sessions.waitForTurn(id, await prompt(id), soon())));
    },
    async fill(count) {
      holds = true;
      for (let n = 0; n < count + slots; n += 1) await prompt(await session(n % 10));
    },
    ask: async () => void (await prompt(await session(0))),
    async close() {
      await core.close();
      await store.close();
    },
  };
}

async function openPlain(url: string): Promise<Side> {
  const connection = new Redis(url, { maxRetriesPerRequest: null });
  const blocking = new Redis(url, { maxRetriesPerRequest: null });
  const jobs = new BullQueue('plain', { connection });
  let hold: Promise<void> | null = null;
  const release = Promise.withResolvers<void>();
  let begun = (): void => {};
  const worker = new Worker(
    'plain',
    async () => {
      begun();
      await hold;
    },
    { connection: blocking, concurrency: slots, removeOnComplete: { count: 0 } },
  );
  await worker.waitUntilReady();
  return {
    name: plainName,
    async start() {
      const askedMs = performance.now();
      const started = new Promise<number>((resolve) => (begun = () => resolve(performance.now())));
      const completed = once(worker, 'completed');
      await jobs.add('turn', { prompt: 'go' });
      const tookMs = (await started) - askedMs;
      await completed;
      return tookMs;
    },
    async drain(count) {
      let left = count;
      const done = Promise.withResolvers<void>();
      const onCompleted = (): void => void (--left === 0 && done.resolve());
      worker.on('completed', onCompleted);
      await Promise.all(Array.from({ length: count }, () => jobs.add('turn', { prompt: 'go' })));
      await done.promise;
      worker.off('completed', onCompleted);
    },
    async fill(count) {
      hold = release.promise;
      for (let n = 0; n < count + slots; n += 1) await jobs.add('turn', { prompt: 'go' });
    },
    ask: async () => void (await jobs.add('turn', { prompt: 'go' })),
    async close() {
      release.resolve();
      await worker.close(true);
      await jobs.close();
      connection.disconnect();
      blocking.disconnect();
    },
  };
}
