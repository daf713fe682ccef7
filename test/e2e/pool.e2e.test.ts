import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findLeaks } from './leaks.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, runTurn, scriptedSession } from './scripted.ts';

/** Warm sandboxes with real ones, through the whole server. */
let installation: TestInstallation;
let server: TestServer;
const warm = { BERTH_SLOTS: '3', BERTH_WARM: '1' };

beforeAll(async () => {
  installation = await createInstallation(warm);
  server = await installation.start();
});

afterAll(async () => {
  await server.stop();
  // A server that keeps none removes those that another left.
  server = await installation.start({ BERTH_WARM: '0' });
  await installation.remove();
});

async function untilReady(count = 1): Promise<void> {
  await expect.poll(async () => (await server.client.pool()).warm.ready, { timeout: 60_000 }).toBe(count);
}

async function output(id: string, script: string): Promise<string> {
  const { stdout } = await server.client.sessions.exec(id, { argv: ['sh', '-c', script] });
  return Buffer.from(stdout).toString().trim();
}

test('a session gets the warm sandbox, with its own limits and an empty workspace', async () => {
  await untilReady();
  const session = await scriptedSession(server.client, { limits: { pids: 600 } });
  expect(await output(session.id, 'git log --oneline | wc -l; pwd; ls -A')).toBe('1\n/home/user/workspace\n.git');
  expect((await runTurn(server.client, session.id, 'say hello')).turn.state).toBe('completed');
  expect(await server.client.pool()).toMatchObject({ slots: 3, used: 1, claims: { warm: 1, cold: 0 } });
  // It was not made for this session, so its log does not say that it was.
  const events = await allEvents(server.client, session.id);
  expect(events.filter((event) => event.type === 'progress')).toEqual([]);
  expect((await server.client.sessions.usage(session.id)).limits.pids).toBe(600);
  expect(await output(session.id, 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max')).toBe(
    '600',
  );
  await server.client.sessions.delete(session.id);
});

test('a warm sandbox with a repository ahead goes to a session on it', async () => {
  const repository = mkdtempSync(join(tmpdir(), 'berth-repo-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@localhost', ...args], { cwd: repository });
  git('init', '-qb', 'main');
  git('commit', '-q', '--allow-empty', '-m', 'first');
  await server.stop();
  server = await installation.start({ ...warm, BERTH_PRECLONE: `file://${repository}` });
  await untilReady(2);
  git('commit', '-q', '--allow-empty', '-m', 'later');
  const [on, beside] = [
    await server.client.sessions.create({ agent: 'shell', repository: `file://${repository}` }),
    await server.client.sessions.create({ agent: 'shell' }),
  ];
  expect(await output(on.id, 'git log --format=%s; ls ~; ls /berth/objects/pack | grep -c pack$')).toBe(
    `later\nfirst\n${basename(repository)}\n2`,
  );
  expect(await output(beside.id, 'ls /berth/objects')).toBe('');
  expect((await server.client.pool()).claims).toEqual({ warm: 2, cold: 0 });
  for (const { id } of [on, beside]) await server.client.sessions.delete(id);
  rmSync(repository, { recursive: true });
});

test('killed at any instant, the server leaves no orphan and no sandbox with two owners', async () => {
  for (const afterMs of [20, 150, 300, 450]) {
    const made = server.client.sessions
      .create({ agent: 'shell' })
      .then((session) => server.client.sessions.exec(session.id, { argv: ['true'] }))
      .catch(() => null);
    await delay(afterMs);
    await server.kill();
    await made;
    server = await installation.start(warm);
    const sessions = await server.client.sessions.list({});
    const owned = sessions.map(({ sandboxId }) => sandboxId).filter((id) => id !== null);
    expect(new Set(owned).size).toBe(owned.length);
    for (const { id } of sessions) {
      // What was begun goes on, or anew.
      const { exitCode } = await server.client.sessions.exec(id, { argv: ['true'] });
      expect(exitCode).toBe(0);
      await server.client.sessions.delete(id);
    }
  }
  await untilReady();
  const { sandboxes } = await server.client.pool();
  expect(sandboxes).toEqual({ running: 1 });
  await server.stop();
  server = await installation.start({ BERTH_WARM: '0' });
  expect(await findLeaks(installation.dataDir)).toEqual([]);
});
