import type { Queue as BullQueue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Clock } from '../core/ports/clock.ts';
import type { Logger } from '../core/ports/logger.ts';
import { anyHost, type Queue } from '../core/ports/queue.ts';

export interface RedisQueueOptions {
  /** `redis://:password@host:6379/0`, or `rediss://`; a secret. */
  url: string;
  clock: Clock;
  logger: Logger;
  /** Before every key, so that several installations can share a Redis. */
  prefix?: string;
}

const jobName = 'look';
/** After a lost connection. */
const firstRetryMs = 50;
const lastRetryMs = 2_000;
/** What a server that died was looking at goes to another one after this. */
const lockMs = 10_000;
const closeTimeoutMs = 2_000;

interface Connected {
  producer: Redis;
  queueOf(to: string): BullQueue;
  workers: Worker[];
  /** Takes what is for any; stopped while this server has no room. */
  pool: Worker;
  connections: Redis[];
}

/**
 * The queue over Redis, by BullMQ: of the servers with room exactly one is told of work for any, and again another if
 * that one dies while it looks.
 *
 * One BullMQ queue for any and one for each host. At most one job waits in each beside one that is being worked on: a
 * job says "look", not what for. A server that finds no room stops its worker for any and puts the job back; with every
 * server full the job waits in Redis for the first that has room.
 *
 * While Redis is away nothing is announced to others. A server then looks itself, and once more when Redis is back, for
 * what it held may be gone.
 */
export function createRedisQueue(options: RedisQueueOptions): Queue {
  const { url, clock, logger, prefix = 'berth' } = options;
  let closed = false;
  let connected: Connected | null = null;
  let look: () => Promise<boolean> = async () => true;
  const looking = new Set<Promise<unknown>>();

  function lookSoon(): void {
    if (closed) return;
    const work = look()
      .catch((error: unknown) => logger.error({ err: error }, 'the queue could not be looked at'))
      .finally(() => looking.delete(work));
    looking.add(work);
  }

  async function connect(hostId: string): Promise<Connected> {
    // Loaded here: a server without Redis does not pay for it.
    const [{ Queue: BullMQ, Worker: BullWorker }, { Redis: Client }] = await Promise.all([
      import('bullmq'),
      import('ioredis'),
    ]);
    const connections: Redis[] = [];
    const open = (role: string, more: { enableOfflineQueue?: boolean } = {}): Redis => {
      const redis = new Client(url, {
        connectionName: `berth-${role}`,
        // BullMQ wants its workers to wait for Redis for as long as it takes.
        maxRetriesPerRequest: null,
        retryStrategy: (times) => Math.min(firstRetryMs * 2 ** Math.min(times, 10), lastRetryMs),
        ...more,
      });
      redis.on('error', (error) => logger.debug({ err: error, role }, 'Redis cannot be reached'));
      connections.push(redis);
      return redis;
    };
    // Announcing does not wait for a Redis that is away: the sweep finds what was not announced.
    const producer = open('announce', { enableOfflineQueue: false });
    const queues = new Map<string, BullQueue>();
    const queueOf = (to: string): BullQueue => {
      let queue = queues.get(to);
      if (queue === undefined) {
        queue = new BullMQ(nameOf(to), { connection: producer, prefix, skipWaitingForReady: true });
        queue.on('error', (error) => logger.debug({ err: error }, 'the queue in Redis failed'));
        queues.set(to, queue);
      }
      return queue;
    };
    const workerOf = (to: string, work: () => Promise<void>): Worker => {
      const worker = new BullWorker(nameOf(to), work, {
        connection: open(to === anyHost ? 'pool' : 'host'),
        prefix,
        concurrency: 1,
        lockDuration: lockMs,
        stalledInterval: lockMs,
        // A job that says "look" does no harm however often it is repeated.
        maxStalledCount: Number.MAX_SAFE_INTEGER,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
        runRetryDelay: lastRetryMs,
      });
      worker.on('error', (error) => logger.debug({ err: error }, 'the worker on Redis failed'));
      return worker;
    };
    const pool = workerOf(anyHost, async () => {
      if (await tracked()) return;
      await pool.pause(true);
      await add(queueOf(anyHost), anyHost);
    });
    const own = workerOf(hostId, async () => void (await tracked()));
    let first = true;
    producer.on('ready', () => {
      if (!first) lookSoon();
      first = false;
    });
    return { producer, queueOf, pool, workers: [pool, own], connections };
  }

  /** In the job, so that one whose server dies is given to another. */
  async function tracked(): Promise<boolean> {
    const work = look();
    looking.add(work);
    try {
      return await work;
    } finally {
      looking.delete(work);
    }
  }

  async function add(queue: BullQueue, id: string, delayMs = 0): Promise<void> {
    await queue.add(
      jobName,
      {},
      { deduplication: { id, keepLastIfActive: true }, delay: delayMs, removeOnComplete: true, removeOnFail: true },
    );
  }

  return {
    name: 'redis',
    announce(to, at) {
      if (closed) return;
      if (connected === null || connected.producer.status !== 'ready') {
        // Nobody else can be told; a retry is found by the sweep.
        if (at === undefined) lookSoon();
        return;
      }
      const delayMs = at === undefined ? 0 : Math.max(0, at.getTime() - clock.now().getTime());
      // Each retry's time is announced once; what is said for now counts once until somebody looks.
      const id = delayMs === 0 ? to : `${to} ${at?.getTime()}`;
      add(connected.queueOf(to), id, delayMs).catch((error: unknown) => {
        logger.debug({ err: error, to }, 'work was not announced');
        if (at === undefined) lookSoon();
      });
    },
    async listen(hostId, lookNow) {
      look = lookNow;
      connected = await connect(hostId);
    },
    hasRoom() {
      if (connected?.pool.isPaused() === true && !closed) {
        connected.pool.resume().catch((error: unknown) => logger.debug({ err: error }, 'the worker did not go on'));
      }
    },
    async close() {
      closed = true;
      if (connected !== null) {
        const { workers, connections } = connected;
        // Without force it would wait for a Redis that is away.
        const ended = Promise.all(workers.map((worker) => worker.close(true))).catch(() => {});
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, closeTimeoutMs).unref())]);
        for (const connection of connections) connection.disconnect();
      }
      await Promise.allSettled(looking);
    },
  };
}

function nameOf(to: string): string {
  return to === anyHost ? 'turns' : `turns-${to}`;
}
