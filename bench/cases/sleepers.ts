import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../../src/protocol/ids.ts';
import { placePackagedBundle } from '../../src/sandbox/runner-layer/bundle.ts';
import { layOutDisk } from '../../src/sandbox/providers/_shared/disk-layout.ts';
import { defaultRoom } from '../../src/sandbox/storage/image-room.ts';
import { openInstallation } from '../../src/sandbox/providers/oci/installation.ts';
import { diskPaths, sandboxPaths } from '../../src/sandbox/providers/oci/paths.ts';
import { writeRecord } from '../../src/sandbox/providers/oci/record.ts';
import { releaseStorage } from '../../src/sandbox/storage/release.ts';
import { createBerthClient, type BerthClient } from '../../src/sdk/index.ts';
import { createSqliteStore } from '../../src/store/sqlite.ts';
import { soon } from '../host.ts';
import { compare, timed } from '../measure.ts';
import { ratioRow, sizeRow, type Row } from '../table.ts';
import type { BenchCase } from './case.ts';

const root = resolve(import.meta.dirname, '../..');
const goalRatio = 1.2;
const goalBytes = 200e6;
/** The server looks every half minute whether it can give memory back. */
const idleMs = 70_000;

/**
 * Two servers side by side, one empty, one with sessions that sleep. Sessions and their log are made through the API;
 * their sandboxes are a record and a disk each, as the provider leaves one that is stopped, made without starting it. There are no
 * memory images: a thousand would take the disk that they take, and the server never reads one before it is woken.
 */
export const sleepers: BenchCase = {
  name: 'sleepers',
  needsDocker: false,
  async run({ quick, say }) {
    const count = quick ? 100 : 1000;
    const servers = [await startServer(), await startServer()] as const;
    const [empty, full] = servers;
    try {
      say(`sleepers: making ${count} sessions`);
      await fill(full, count);
      const samples = await compare(
        [
          { name: 'full', measureMs: () => createOnce(full.client) },
          { name: 'empty', measureMs: () => createOnce(empty.client) },
        ],
        { warmUp: 2, rounds: quick ? 6 : 30, pauseMs: 100 },
      );
      say('sleepers: waiting for both to idle');
      await sleep(idleMs);
      const what = `new session to first command, ${count} sessions asleep`;
      const rows: Row[] = [
        ratioRow(what, samples.get('full')!, 'the same on an empty server', samples.get('empty')!, goalRatio),
        sizeRow('resident memory of an idle server, empty', await residentBytes(empty), null),
        sizeRow(`... with ${count} sessions asleep`, await residentBytes(full), goalBytes),
      ];
      return rows;
    } finally {
      for (const server of servers) await server.remove();
    }
  },
};

interface BenchServer {
  dataDir: string;
  pid: number;
  client: BerthClient;
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

async function startServer(): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'berth-sleepers-'));
  let child: ChildProcess | null = null;
  const server: BenchServer = {
    dataDir,
    pid: 0,
    client: createBerthClient({ baseUrl: 'http://127.0.0.1:1', token: 'none' }),
    async start() {
      const { PATH = '' } = process.env;
      child = spawn(join(root, 'bin/berth'), ['up', '--json'], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH, HOME: dataDir, BERTH_DATA_DIR: dataDir, BERTH_PORT: '0', BERTH_SLOTS: '2', BERTH_WARM: '0', BERTH_RATE_LIMITS: 'off' },
      });
      let text = '';
      for await (const line of createInterface({ input: child.stdout! })) {
        text += line;
        if (line === '}') break;
      }
      child.stdout!.resume();
      const { url, token } = JSON.parse(text) as { url: string; token: string };
      server.pid = child.pid!;
      server.client = createBerthClient({ baseUrl: url, token });
    },
    async stop() {
      if (child === null || child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
    async remove() {
      await server.stop();
      await releaseStorage(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

async function createOnce({ sessions }: BerthClient): Promise<number> {
  let id = '';
  const tookMs = await timed(async () => {
    id = (await sessions.create({ agent: 'shell', permissions: 'allow' })).id;
    const { exitCode } = await sessions.exec(id, { argv: ['true'] });
    if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
  });
  await sessions.delete(id);
  return tookMs;
}

async function fill(server: BenchServer, count: number): Promise<void> {
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) {
    ids.push((await server.client.sessions.create({ agent: 'shell', permissions: 'allow' })).id);
  }
  await server.stop();
  const { dataDir } = server;
  const installation = await openInstallation({
    dataDir,
    agentsDir: join(dataDir, 'agents'),
    runtime: null,
    storage: 'auto',
    room: defaultRoom,
    placeBundle: placePackagedBundle,
    fullNetwork: null,
  });
  const store = await createSqliteStore({ path: join(dataDir, 'berth.db') });
  try {
    const [host] = await store.read.hosts();
    const hostId = host?.id ?? null;
    const template = await installation.templates.current('default');
    for (const sessionId of ids) {
      const session = await store.read.session(sessionId);
      if (session === null) throw new Error(`session ${sessionId} is gone`);
      const { limits } = session;
      const id = newId('sandbox');
      const at = new Date().toISOString();
      const paths = sandboxPaths(installation.sandboxesDir, id);
      await mkdir(paths.directory, { mode: 0o700 });
      const disk = await installation.storage.createDisk(id, soon());
      if (installation.storage.limitsDisk) await installation.storage.limitDisk(id, limits.diskBytes, soon());
      await mkdir(installation.storage.objectsPath(id), { recursive: true });
      await layOutDisk(diskPaths(disk), template);
      const { name, version } = template;
      const labels = { session: sessionId };
      await writeRecord(paths.record, {
        id,
        createdAt: at,
        template: { name, version },
        limits,
        network: 'none',
        labels,
        env: {},
        runnerToken: 'asleep',
      });
      const record = { id, sessionId, hostId, provider: session.provider, template: name, limits, createdAt: at, updatedAt: at };
      await store.transaction(async (tx) => {
        await tx.insertSandbox({ ...record, status: 'stopped', warm: null });
        await tx.updateSession(sessionId, { sandboxId: id, status: 'stopped', baseCommit: '0'.repeat(40) });
      });
    }
  } finally {
    await store.close();
    await installation.release();
  }
  await server.start();
}

async function residentBytes({ pid }: BenchServer): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
