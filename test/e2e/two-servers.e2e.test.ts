import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseExit } from '../../src/sdk/attached-process.ts';
import { BerthError, frameType, type BerthClient } from '../../src/sdk/index.ts';
import { missingForPostgres, startPostgres, type PostgresServer } from '../fixtures/postgres.ts';
import { missingForRedis, startRedis, type RedisServer } from '../fixtures/redis.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents } from './scripted.ts';

/** Two servers with a data directory each, on one PostgreSQL and one Redis, with real sandboxes. */

const outages = Number(process.env['BERTH_TEST_OUTAGES'] ?? 3);
const slotsPerServer = 2;
const sessionCount = 2 * slotsPerServer;
const longestInstantMs = 1_500;
const patienceMs = 90_000;

const missing = missingForPostgres() ?? missingForRedis();
if (missing !== null) console.warn(`skipped: two-servers.e2e.test.ts: ${missing}`);

interface Member {
  installation: TestInstallation;
  server: TestServer;
}

describe.skipIf(missing !== null)('two servers', () => {
  let postgres: PostgresServer;
  let redis: RedisServer;
  let shared: string;
  let members: [Member, Member];
  let sessions: string[] = [];

  beforeAll(async () => {
    shared = await mkdtemp(join(tmpdir(), 'berth-two-'));
    [postgres, redis] = await Promise.all([startPostgres({ maxConnections: 60 }), startRedis()]);
    const databaseUrl = await postgres.createDatabase();
    const join_ = async (): Promise<Member> => {
      const port = String(await freePort());
      const installation = await createInstallation({
        BERTH_DATABASE_URL: databaseUrl,
        BERTH_REDIS_URL: redis.url,
        BERTH_KEY_FILE: join(shared, 'key'),
        BERTH_PORT: port,
        BERTH_ADVERTISE_URL: `http://127.0.0.1:${port}`,
        BERTH_SLOTS: String(slotsPerServer),
      });
      return { installation, server: await installation.start() };
    };
    members = await Promise.all([join_(), join_()]);
  });

  afterAll(async () => {
    try {
      // The first deletes every session, also those of the other's host.
      for (const member of members ?? []) await member.installation.remove();
    } finally {
      await Promise.all([postgres?.destroy(), redis?.destroy()]);
      if (shared !== undefined) await rm(shared, { recursive: true, force: true });
    }
  });

  const clientOf = (n: number): BerthClient => members[n % 2]!.server.client;

  /** Tries at one server after the other while what is away is away. */
  async function persist<T>(call: (client: BerthClient) => Promise<T>): Promise<T> {
    const deadline = Date.now() + patienceMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await call(clientOf(attempt));
      } catch (error) {
        const passing = error instanceof BerthError && ['unavailable', 'timeout', 'sandbox_lost'].includes(error.code);
        if (!passing || Date.now() > deadline) throw error;
        await delay(200);
      }
    }
  }

  test('sessions spread over both, and each server serves all of them', async () => {
    const created = await Promise.all(
      Array.from({ length: sessionCount }, (_, n) => clientOf(n).sessions.create({ agent: 'shell' })),
    );
    sessions = created.map(({ id }) => id);
    const turns = await Promise.all(
      sessions.map(async (id) => (await clientOf(0).sessions.prompt(id, 'touch ran.txt; sleep 2')).turnId),
    );
    const ended = await Promise.all(turns.map((turnId, n) => clientOf(1).sessions.waitForTurn(sessions[n]!, turnId)));
    expect(ended.map(({ state }) => state)).toEqual(turns.map(() => 'completed'));

    const hosts = await clientOf(0).hosts.list();
    expect(hosts).toHaveLength(2);
    expect(hosts.map(({ live, used }) => [live, used])).toEqual(hosts.map(() => [true, slotsPerServer]));
    const homes = await Promise.all(sessions.map(async (id) => (await clientOf(1).sessions.get(id)).hostId));
    expect(new Set(homes).size).toBe(2);

    for (const [n, id] of sessions.entries()) {
      for (const client of [clientOf(0), clientOf(1)]) {
        const text = new TextEncoder().encode(`${n}`.repeat(300_000));
        await client.sessions.files.write(id, 'big.txt', text);
        expect(await new Response(await client.sessions.files.read(id, 'big.txt')).text()).toHaveLength(text.length);
        const { stdout } = await client.sessions.exec(id, { argv: ['sh', '-c', 'wc -c < big.txt'] });
        expect(new TextDecoder().decode(stdout).trim()).toBe(String(text.length));
        expect(await terminal(client, id)).toBe('echoed 7');
        await expect(client.sessions.files.read(id, 'not-there')).rejects.toMatchObject({ code: 'not_found' });
      }
    }
  });

  test(
    `${outages} outages: every turn runs exactly once to an end`,
    { timeout: 60_000 + outages * 30_000 },
    async () => {
      const asked = new Map<string, { turnId: string; mark: string }[]>(sessions.map((id) => [id, []]));
      const kinds = [killServer, restartRedis, restartPostgres];
      for (let round = 0; round <= outages; round += 1) {
        const outage =
          round === outages ? null : delay(Math.random() * longestInstantMs).then(() => kinds[round % kinds.length]!());
        await Promise.all(
          sessions.map(async (id, n) => {
            const mark = `r${round}s${n}`;
            const prompt = `echo ${mark} >> ran.txt; sleep 0.4; echo ${mark}-end >> ran.txt`;
            // The answer may be lost with the server: asked again under the same key it is the same turn.
            const { turnId } = await persist((client) => client.sessions.prompt(id, { prompt, idempotencyKey: mark }));
            asked.get(id)!.push({ turnId, mark });
          }),
        );
        await outage;
      }
      for (const [id, turns] of asked) {
        for (const { turnId } of turns) {
          const turn = await persist((client) => client.sessions.waitForTurn(id, turnId));
          expect(turn).toMatchObject({ state: 'completed', error: null });
        }
        const { stdout } = await persist((client) => client.sessions.exec(id, { argv: ['cat', 'ran.txt'] }));
        const ran = new TextDecoder().decode(stdout).trim().split('\n');
        expect(ran).toEqual(turns.flatMap(({ mark }) => [mark, `${mark}-end`]));
        const events = await persist((client) => allEvents(client, id));
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
        for (const { turnId } of turns) {
          const count = (type: string) =>
            events.filter((event) => event.turnId === turnId && event.type === type).length;
          expect([count('turn.queued'), count('turn.started'), count('turn.ended')]).toEqual([1, 1, 1]);
        }
      }
      expect((await persist((client) => client.queue())).queued).toEqual([]);
    },
  );

  async function killServer(): Promise<void> {
    const member = members[Math.random() < 0.5 ? 0 : 1];
    await member.server.kill();
    member.server = await member.installation.start();
  }

  async function restartRedis(): Promise<void> {
    await redis.kill();
    await delay(300);
    await redis.start();
  }

  async function restartPostgres(): Promise<void> {
    await (Math.random() < 0.5 ? postgres.stop('fast') : postgres.kill());
    await delay(300);
    await postgres.start();
  }
});

/** A shell that echoes one line; over the WebSocket, both ways. */
async function terminal(client: BerthClient, id: string): Promise<string> {
  const { id: processId } = await client.sessions.processes.start(id, {
    argv: ['sh', '-c', 'read x; echo "echoed $x"; exit 7'],
    stdin: true,
  });
  const attached = await client.sessions.processes.attach(id, processId);
  await attached.write('7\n');
  let output = '';
  for await (const frame of attached.output) {
    if (frame.type === frameType.stdout) output += new TextDecoder().decode(frame.payload);
    if (frame.type === frameType.exit) expect(parseExit(frame)).toMatchObject({ exitCode: 7 });
  }
  return output.trim();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
