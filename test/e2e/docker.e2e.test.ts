import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import type { repository as repositorySchema, task as taskSchema } from '../../src/protocol/forge-api.ts';
import { startDockerd, type Dockerd } from '../fixtures/dockerd.ts';
import { createForge } from '../fixtures/forge/index.ts';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, runTurn, scriptedSession } from './scripted.ts';

type Repository = z.infer<typeof repositorySchema>;
type Task = z.infer<typeof taskSchema>;

/** The main job on an engine, and what becomes of sessions when that engine goes. */
let dockerd: Dockerd;
let engine: Docker;
let forge: Awaited<ReturnType<typeof createForge>>;
let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;
let policyDir: string;

const widgets = 'acme/widgets';

beforeAll(async () => {
  [dockerd, forge] = await Promise.all([startDockerd(), createForge()]);
  engine = new Docker({ socketPath: dockerd.socketPath });
  model = await createModelServer({
    key: 'sk-model',
    script: {
      rules: [
        {
          when: { prompt: /add a greeting/i },
          steps: [
            { tool: 'bash', command: 'hostname > NOTES.md && git add NOTES.md && git commit -qm "Note it"' },
            { tool: 'write', path: 'GREETING.md', content: '# Hello\n' },
            { text: 'The greeting is there.' },
          ],
        },
      ],
    },
  });
  policyDir = await mkdtemp(join(tmpdir(), 'berth-policy-'));
  const policy = join(policyDir, 'placement.json');
  const rules = [{ name: 'labelled', labels: ['berth', 'contained'], providers: ['docker', 'oci'] }];
  await writeFile(policy, JSON.stringify({ rules, default: ['oci'] }));
  installation = await createInstallation({
    BERTH_PROVIDERS: 'oci,docker',
    BERTH_DOCKER_HOST: `unix://${dockerd.socketPath}`,
    BERTH_PLACEMENT: policy,
    BERTH_GITHUB_API_URL: forge.apiUrl,
    BERTH_GITHUB_URL: forge.url,
    BERTH_GITHUB_PACING: 'off',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'sk-model',
  });
  server = await installation.start();
  const { app, webhookSecret, apiUrl } = forge;
  await api('POST', '/api/github/app', { appId: app.id, privateKey: app.privateKey, webhookSecret, apiUrl });
  const { repositories } = await api<{ repositories: Repository[] }>('GET', '/api/repositories');
  for (const { id } of repositories) await api('PATCH', `/api/repositories/${id}`, { triggers: { label: 'berth' } });
});

afterAll(async () => {
  try {
    await installation.remove();
    expect((await engine.listContainers({ all: true })).map(({ Names }) => Names)).toEqual([]);
    expect((await engine.listVolumes()).Volumes ?? []).toEqual([]);
  } finally {
    await Promise.all([dockerd.stop(), model.close(), forge.close(), rm(policyDir, { recursive: true })]);
  }
});

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

test('an issue becomes a pull request in a container, by the rule for its label', async () => {
  const [author, asker] = [forge.state.account('mallory'), forge.state.account('tom')];
  const repository = forge.state.repository(widgets);
  const issue = forge.state.addIssue(repository, { title: 'Add a greeting', body: 'Please add a greeting.', author });
  const { event, payload } = forge.payloads.issueLabeled(issue, 'berth', asker);
  expect((await forge.deliver(event, payload, { to: `${server.url}/webhooks/github` })).status).toBe(202);
  const task = await expect
    .poll(
      async () => (await api<{ tasks: Task[] }>('GET', '/api/tasks')).tasks.find((each) => each.issueNumber === issue.number),
      { timeout: 150_000, interval: 200 },
    )
    .toMatchObject({ state: expect.stringMatching(/waiting|failed/) as string })
    .then(async () => (await api<{ tasks: Task[] }>('GET', '/api/tasks')).tasks[0]!);
  expect(task).toMatchObject({ state: 'waiting', error: null });
  const [pull] = forge.state.pulls(widgets);
  expect(await forge.readFile(widgets, pull!.head, 'GREETING.md')).toBe('# Hello\n');
  const session = await server.client.sessions.get(task.sessionId!);
  expect(session).toMatchObject({ provider: 'docker', providerReason: 'the rule "labelled"', limits: { diskBytes: 0 } });
  const [container] = await engine.listContainers({ filters: { label: [`berth.sandbox=${session.sandboxId}`] } });
  const { Config, HostConfig } = await engine.getContainer(container!.Id).inspect();
  expect(`${Config.Hostname}\n`).toBe(await forge.readFile(widgets, pull!.head, 'NOTES.md'));
  expect(HostConfig).toMatchObject({ NetworkMode: 'none', Memory: session.limits.memoryBytes, CapDrop: ['ALL'] });
  expect(JSON.stringify(Config.Env)).not.toContain('sk-model');
  expect(forge.violations).toEqual([]);
});

test('with the engine gone a new session goes to the next provider; one that was there waits, and has its files', async () => {
  const { client } = server;
  const there = await scriptedSession(client, { labels: ['contained'] });
  await client.sessions.files.write(there.id, '/home/user/workspace/kept', new TextEncoder().encode('here'), {});
  await client.sessions.rest(there.id, 'stop');
  await dockerd.kill();
  const moved = await scriptedSession(client, { labels: ['contained'] });
  expect((await runTurn(client, moved.id, 'say it works')).turn.state).toBe('completed');
  const { provider, providerReason } = await client.sessions.get(moved.id);
  expect(provider).toBe('oci');
  expect(providerReason).toMatch(/^the rule "labelled"; docker could not make its sandbox \(unavailable\)$/);
  const said = (await allEvents(client, moved.id)).flatMap((event) => (event.type === 'progress' ? [event.data.message] : []));
  expect(said).toContainEqual(expect.stringMatching(/docker could not .*; trying oci/));
  await expect(client.sessions.files.list(there.id, '/home/user/workspace')).rejects.toMatchObject({ code: 'unavailable' });
  expect((await client.sessions.get(there.id)).provider).toBe('docker');
  await dockerd.restart();
  const kept = await client.sessions.files.read(there.id, '/home/user/workspace/kept');
  expect(await new Response(kept).text()).toBe('here');
});
