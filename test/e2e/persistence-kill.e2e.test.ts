import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cgroupDirectories, detectCgroups } from '../../src/sandbox/host/cgroups.ts';
import { installationCgroup } from '../../src/sandbox/installation-paths.ts';
import { installationId } from '../../src/sandbox/instance-lock.ts';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, runTurn, scriptedSession } from './scripted.ts';

/** Kills in the middle of each operation of persistence; 50 and 20 for the long run. */
const serverKills = Number(process.env['BERTH_TEST_SERVER_KILLS'] ?? 5);
const processKills = Number(process.env['BERTH_TEST_PROCESS_KILLS'] ?? 3);

interface Operation {
  name: string;
  /** Kills come at a random instant of this time. */
  longestMs: number;
  prepare?: (client: BerthClient, id: string) => Promise<unknown>;
  run: (client: BerthClient, id: string, round: string) => Promise<unknown>;
}

const operations: readonly Operation[] = [
  { name: 'pause', longestMs: 60, run: (client, id) => client.sessions.rest(id, 'pause') },
  { name: 'hibernate', longestMs: 1_000, run: (client, id) => client.sessions.rest(id, 'hibernate') },
  {
    name: 'wake',
    longestMs: 1_000,
    prepare: (client, id) => client.sessions.rest(id, 'hibernate'),
    run: (client, id) => client.sessions.wake(id),
  },
  { name: 'snapshot', longestMs: 500, run: (client, id, round) => client.snapshots.create(id, { name: round }) },
  { name: 'fork', longestMs: 1_200, run: (client, id) => client.sessions.fork(id, { count: 2 }) },
];

let installation: TestInstallation;
let server: TestServer;
/** The session that all is done to. */
let id: string;

beforeAll(async () => {
  installation = await createInstallation({ BERTH_SLOTS: '3', BERTH_WARM: '0' });
  server = await installation.start();
  ({ id } = await scriptedSession(server.client));
  expect((await runTurn(server.client, id, 'say begun')).text).toBe('begun');
  await startCounter();
});

afterAll(() => installation.remove());

async function output(sessionId: string, script: string): Promise<string> {
  const { stdout } = await server.client.sessions.exec(sessionId, { argv: ['sh', '-c', script] });
  return Buffer.from(stdout).toString().trim();
}

/** Until the loss has been noticed a call may meet it; the one after that finds the sandbox started again. */
async function settled(): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await output(id, 'true');
      return;
    } catch (error) {
      if (attempt === 10 || (error as { code?: string }).code !== 'sandbox_lost') throw error;
      await delay(200);
    }
  }
}

/** A loop that goes on for as long as its processes do, and writes down who it is. */
async function startCounter(): Promise<void> {
  const loop = 'rm -f ~/count; echo $$ > ~/counter; i=0; while :; do i=$((i+1)); echo $i > ~/count; sleep 0.02; done';
  await server.client.sessions.processes.start(id, { argv: ['sh', '-c', loop] });
  await output(id, 'until [ -s ~/count ]; do sleep 0.05; done');
}

/** The file may be read in the moment in which it is written, and is empty then. */
async function isCounting(): Promise<boolean> {
  const look = 'a=$(cat ~/count); sleep 0.1; b=$(cat ~/count); [ "$b" -gt "$a" ] && kill -0 $(cat ~/counter) && echo yes';
  for (let attempt = 0; attempt < 5; attempt += 1) if ((await output(id, look)) === 'yes') return true;
  return false;
}

/** Whether the log tells of processes that could not be kept, after the event numbered `from`. */
async function toldOfLoss(from: number): Promise<boolean> {
  const events = (await allEvents(server.client, id)).filter((event) => event.seq > from);
  return events.some(
    (event) =>
      (event.type === 'progress' && /from its disk|processes/.test(event.data.message)) ||
      (event.type === 'sandbox.status' && ['stopped', 'broken'].includes(event.data.status)),
  );
}

/** What was half made is whole or gone; whatever is listed works. Removes it. */
async function checkCopies(marker: string): Promise<void> {
  const { client } = server;
  const forks = (await client.sessions.list()).filter((session) => session.id !== id);
  // All of one call are there, or none.
  expect([0, 2]).toContain(forks.length);
  for (const session of forks) {
    expect(session.forkedFrom).toBe(id);
    expect(await output(session.id, 'cat ~/marker')).toBe(marker);
    await client.sessions.delete(session.id);
  }
  for (const { name } of await client.snapshots.list()) {
    const [fork] = await client.snapshots.fork(name);
    expect(await output(fork!.id, 'cat ~/marker')).toBe(marker);
    await client.snapshots.delete(name);
    await client.sessions.delete(fork!.id);
  }
}

async function checkSession(marker: string, round: string, from: number): Promise<'kept' | 'lost'> {
  expect(['idle', 'paused', 'hibernated', 'stopped']).toContain((await server.client.sessions.get(id)).status);
  expect(await output(id, 'cat ~/marker')).toBe(marker);
  const kept = await isCounting();
  if (!kept) {
    // Never silently.
    expect(await toldOfLoss(from), `${round}: the processes were lost and the log does not say so`).toBe(true);
    await startCounter();
  }
  const { turn, text } = await runTurn(server.client, id, `say ${round}`);
  expect([turn.state, text]).toEqual(['completed', round]);
  await checkCopies(marker);
  const events = await allEvents(server.client, id);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  return kept ? 'kept' : 'lost';
}

test(`${serverKills} times kill -9 of the server in the middle of pause, hibernate, wake, snapshot and fork`, async () => {
  const lost: string[] = [];
  for (let round = 0; round < serverKills; round += 1) {
    const operation = operations[round % operations.length]!;
    const name = `kill-${round}-${operation.name}`;
    await output(id, `echo ${name} > ~/marker; sync ~/marker`);
    await operation.prepare?.(server.client, id);
    const { lastSeq } = await server.client.sessions.get(id);
    const asked = operation.run(server.client, id, name).catch(() => null);
    await delay(Math.random() * operation.longestMs);
    await server.kill();
    await asked;
    server = await installation.start();
    if ((await checkSession(name, name, lastSeq)) === 'lost') lost.push(operation.name);
  }
  // An image whose processes may have run already must not be restored a second time: that moment alone costs them.
  expect(lost.filter((operation) => operation !== 'wake')).toEqual([]);
}, 30_000 + serverKills * 30_000);

test(`${processKills} times kill -9 of a process of the sandbox in the middle of them`, async () => {
  for (let round = 0; round < processKills; round += 1) {
    const operation = operations[round % operations.length]!;
    const name = `process-${round}-${operation.name}`;
    await output(id, `echo ${name} > ~/marker; sync ~/marker`);
    await operation.prepare?.(server.client, id);
    const { lastSeq } = await server.client.sessions.get(id);
    const asked = operation.run(server.client, id, name).catch(() => null);
    await delay(Math.random() * operation.longestMs);
    await killOne();
    await asked;
    await settled();
    await checkSession(name, name, lastSeq);
  }
}, 30_000 + processKills * 30_000);

/** Any process of the session's sandbox but the counter: init, the runner, the agent. None may be there at this instant. */
async function killOne(): Promise<void> {
  const { sandboxId } = await server.client.sessions.get(id);
  const group = join(installationCgroup(await installationId(installation.dataDir)), sandboxId!);
  const pids = new Set<number>();
  for (const directory of cgroupDirectories(await detectCgroups(), group)) {
    const text = await readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '');
    for (const line of text.split('\n')) if (line !== '') pids.add(Number(line));
  }
  const all = [...pids].filter((pid) => !isCounter(pid));
  const victim = all[Math.floor(Math.random() * all.length)];
  if (victim === undefined) return;
  try {
    process.kill(victim, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function isCounter(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('~/counter');
  } catch {
    // Gone.
    return true;
  }
}
