import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { anyHost, type Queue } from '../../src/core/ports/queue.ts';

export interface QueueBackend {
  /** The queue as one server has it; all of one backend hear each other. */
  open(): Promise<Queue>;
  /** How many servers may share it. */
  servers: 'one' | 'many';
  /** Takes the broker away for as long as `meanwhile` runs, then brings it back empty. */
  outage(meanwhile: () => Promise<void>): Promise<void>;
  destroy(): Promise<void>;
}

interface Server {
  hostId: string;
  queue: Queue;
  /** When it looked. */
  looks: Date[];
  room: boolean;
}

const patience = { timeout: 15_000, interval: 10 };

/** What every driver of the queue promises; `backend` is started once and shared. */
export function queueSuite(name: string, start: () => Promise<QueueBackend>): void {
  describe(`queue: ${name}`, () => {
    let backend: QueueBackend;
    let servers: Server[] = [];
    let opened = 0;

    beforeAll(async () => {
      backend = await start();
    });
    afterAll(() => backend?.destroy());
    afterEach(async () => {
      await Promise.all(servers.map(({ queue }) => queue.close()));
      servers = [];
    });

    async function serve(count: number): Promise<Server[]> {
      for (let n = 0; n < count; n += 1) {
        opened += 1;
        const server: Server = { hostId: `hst_${opened}`, queue: await backend.open(), looks: [], room: true };
        servers.push(server);
        await server.queue.listen(server.hostId, async () => {
          server.looks.push(new Date());
          return server.room;
        });
      }
      return servers;
    }

    /** Announces until somebody looks: right after the start a driver may not be connected yet. */
    async function settle(): Promise<void> {
      for (const { queue, hostId, looks } of servers) {
        await expect
          .poll(() => {
            if (looks.length === 0) queue.announce(hostId);
            return looks.length;
          }, patience)
          .toBeGreaterThan(0);
      }
      await quiet();
    }

    /** Until nobody has looked for a while, then forgets what was. */
    async function quiet(): Promise<void> {
      for (let before = -1; before !== total();) {
        before = total();
        await new Promise((resolve) => setTimeout(resolve, 120));
      }
      for (const server of servers) server.looks.length = 0;
    }

    const total = (): number => servers.reduce((sum, { looks }) => sum + looks.length, 0);

    test('work for any is looked for, by whoever announced it', async () => {
      const [server] = await serve(1);
      await settle();
      server!.queue.announce(anyHost);
      await expect.poll(total, patience).toBeGreaterThan(0);
    });

    test('a look begins after the last of many announcements', async () => {
      const [server] = await serve(1);
      await settle();
      for (let n = 0; n < 200; n += 1) server!.queue.announce(anyHost);
      await quiet();
      const last = new Date();
      server!.queue.announce(anyHost);
      await expect.poll(() => server!.looks.some((at) => at >= last), patience).toBe(true);
    });

    test('work for later is looked for then, and not before', async () => {
      const [server] = await serve(1);
      await settle();
      const at = new Date(Date.now() + 400);
      for (let n = 0; n < 3; n += 1) server!.queue.announce(anyHost, at);
      await expect.poll(total, patience).toBeGreaterThan(0);
      expect(server!.looks[0]!.getTime()).toBeGreaterThanOrEqual(at.getTime() - 2);
    });

    test('a look that fails does not end the looking', async () => {
      const [server] = await serve(1);
      await settle();
      let failures = 0;
      const queue = await backend.open();
      servers.push({ hostId: 'hst_failing', queue, looks: [], room: true });
      await queue.listen('hst_failing', async () => {
        failures += 1;
        throw new Error('no');
      });
      await expect.poll(() => (queue.announce('hst_failing'), failures), patience).toBeGreaterThan(1);
      server!.queue.announce(server!.hostId);
      await expect.poll(() => server!.looks.length, patience).toBeGreaterThan(0);
    });

    test('while the broker is away nothing throws and the announcer looks; afterwards all is as before', async () => {
      await serve(backend.servers === 'many' ? 2 : 1);
      await settle();
      const first = servers[0]!;
      await backend.outage(async () => {
        await expect.poll(() => (first.queue.announce(anyHost), first.looks.length), patience).toBeGreaterThan(0);
        first.queue.announce('hst_unknown');
        first.queue.announce(anyHost, new Date(Date.now() + 50));
      });
      for (const { hostId, looks } of servers) {
        looks.length = 0;
        await expect.poll(() => (first.queue.announce(hostId), looks.length), patience).toBeGreaterThan(0);
      }
    });

    test('closes while the broker is away', async () => {
      const [server] = await serve(1);
      await settle();
      await backend.outage(() => server!.queue.close());
    });

    describe('between servers', () => {
      const only = (): boolean => backend.servers === 'many';

      test('work for a host is looked for by its server', async ({ skip }) => {
        if (!only()) skip('the driver is for one server');
        const [a, b] = await serve(2);
        await settle();
        a!.queue.announce(b!.hostId);
        await expect.poll(() => b!.looks.length, patience).toBeGreaterThan(0);
        expect(a!.looks).toEqual([]);
      });

      test('what a full server cannot take another looks for', async ({ skip }) => {
        if (!only()) skip('the driver is for one server');
        const [a, b] = await serve(2);
        await settle();
        a!.room = false;
        for (let n = 0; n < 5; n += 1) {
          a!.queue.announce(anyHost);
          await expect.poll(() => b!.looks.length, patience).toBeGreaterThan(n);
          await quiet();
          b!.looks.length = n + 1;
        }
      });
    });
  });
}
