import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createInstallation, type TestInstallation, type TestServer } from '../e2e/harness.ts';
import { allEvents, runTurn } from '../e2e/scripted.ts';
import { createForge } from '../fixtures/forge/index.ts';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { sandboxProcesses } from './sandbox-processes.ts';
import { searchMemory } from './search-memory.ts';

/**
 * Distinctive keys in every place where this server keeps a secret; then a real agent that looks for them, and a search of
 * all that is in the sandbox and of all that is written: nothing. The same search finds what was put there to be found.
 */

const run = promisify(execFile);
const mark = randomBytes(12).toString('hex');
/** What is meant to be found, in each place of its own. */
const planted = { file: `plantedfile${mark}`, environment: `plantedenv${mark}`, memory: `plantedmem${mark}`, event: `plantedevent${mark}` };
const keys = { anthropic: `sk-ant-canary${mark}`, openai: `sk-canary-openai${mark}`, gemini: `AIzaCanary${mark}` };

let forge: Awaited<ReturnType<typeof createForge>>;
let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;

beforeAll(async () => {
  forge = await createForge();
  model = await createModelServer({
    key: keys.anthropic,
    script: {
      rules: [
        {
          when: { prompt: /look around/ },
          steps: [
            { tool: 'write', path: 'made.txt', content: 'made\n' },
            { tool: 'bash', command: 'env; cat /proc/*/environ | tr "\\0" "\\n" | tail -200; git remote -v; git config --list --show-origin; git fetch origin' },
            { text: 'That is all there is.' },
          ],
        },
      ],
    },
  });
  installation = await createInstallation({
    BERTH_GITHUB_API_URL: forge.apiUrl,
    BERTH_GITHUB_URL: forge.url,
    BERTH_GITHUB_PACING: 'off',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: keys.anthropic,
    OPENAI_BASE_URL: `${model.url}/v1`,
    OPENAI_API_KEY: keys.openai,
    GOOGLE_GEMINI_BASE_URL: model.url,
    GEMINI_API_KEY: keys.gemini,
  });
  server = await installation.start();
});

afterAll(async () => {
  await installation.remove();
  await model.close();
  await forge.close();
});

async function call(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(response.ok, `${method} ${path}`).toBe(true);
  return response.json();
}

/** Every secret, in each form in which it is kept or sent. */
async function secrets(): Promise<Map<string, string>> {
  const keyFile = (await readFile(join(installation.dataDir, 'key'))).toString('latin1').trim();
  const [, pemLine = ''] = forge.app.privateKey.split('\n').filter((line) => line.length > 40);
  return new Map([
    ...Object.entries(keys),
    ['owner token', server.token],
    ['webhook signing secret', (await server.client.webhookSecret()).replace(/^whsec_/, '')],
    ['key file', keyFile],
    ['forge webhook secret', forge.webhookSecret],
    ['forge private key', pemLine],
    ...forge.issuedTokens().map((token, index): [string, string] => [`git token ${index + 1}`, token]),
  ]);
}

test('no secret is in a sandbox, in what it said, in the logs or the database', async () => {
  const { client } = server;
  await call('POST', '/api/github/app', {
    appId: forge.app.id,
    privateKey: forge.app.privateKey,
    webhookSecret: forge.webhookSecret,
    apiUrl: forge.apiUrl,
  });
  const { repositories } = (await call('GET', '/api/repositories')) as { repositories: { url: string; name: string }[] };
  const repository = repositories.find(({ name }) => name === 'widgets')!.url;
  const { id } = await client.sessions.create({ repository, agent: 'claude' });
  const { turn, text } = await runTurn(client, id, `Please look around. ${planted.event}`);
  expect(turn).toMatchObject({ state: 'completed', error: null });
  expect(text).toContain('That is all there is.');
  await client.sessions.files.write(id, '/home/user/deep/er/planted.txt', new TextEncoder().encode(planted.file), { makeParents: true });
  // In the environment of one process, and in the memory of another that was told by its input.
  const hold = ['sh', '-c', 'read -r kept; echo ready; sleep 300; echo "$kept"'];
  const holder = await client.sessions.processes.start(id, { argv: hold, env: { KEPT: planted.environment }, stdin: true });
  const attached = await client.sessions.processes.attach(id, holder.id);
  await attached.write(`${planted.memory}\n`);

  const all = await secrets();
  expect(forge.issuedTokens().length, 'a token was asked for to clone').toBeGreaterThan(0);
  for (const [name, value] of all) expect(value.length, name).toBeGreaterThanOrEqual(16);
  const needles = [...all.values(), ...Object.values(planted)];
  const sandboxId = (await client.sessions.get(id)).sandboxId!;
  const pids = await sandboxProcesses(sandboxId);
  // tini, the runner, the agent's adapter and the agent itself, and the one that keeps what was planted.
  expect(pids.length).toBeGreaterThanOrEqual(5);
  /** Nothing but what was planted, of which these at least. */
  const expectOnly = (place: string, hits: Iterable<string>, ...control: (keyof typeof planted)[]) => {
    const names = [...new Set([...hits].map((hit) => nameOf(hit, all)))].toSorted();
    expect(names.filter((name) => !name.startsWith('planted')), place).toEqual([]);
    expect(names, place).toEqual(expect.arrayContaining(control.map((name) => `planted ${name}`)));
  };

  // The whole file system, from outside: no process in it can hide a file. But /usr: it is the host's own, read-only, the
  // same for every sandbox, and was there before any of these keys.
  const needleFile = join(installation.dataDir, 'needles');
  await writeFile(needleFile, `${needles.join('\n')}\n`);
  const rootOf = `/proc/${pids[0]}/root`;
  // A symbolic link would lead into the host's own.
  const places = (await readdir(rootOf, { withFileTypes: true }))
    .filter((entry) => !entry.isSymbolicLink() && !['proc', 'sys', 'dev', 'usr'].includes(entry.name))
    .map(({ name }) => join(rootOf, name));
  const grep = await run('grep', ['-rohaF', '--devices=skip', '-f', needleFile, ...places], { maxBuffer: 64 << 20 }).catch((error: { stdout: string }) => error);
  await rm(needleFile);
  // The prompt is in the agent's own transcript.
  expectOnly('files', grep.stdout.split('\n').filter((line) => line !== ''), 'file', 'event');

  const environments = await Promise.all(
    pids.map(async (pid) => Buffer.concat([await readFile(`/proc/${pid}/environ`), await readFile(`/proc/${pid}/cmdline`)])),
  );
  expectOnly('environments', hitsIn(Buffer.concat(environments), needles), 'environment');

  let readBytes = 0;
  const inMemory = new Set<string>();
  for (const pid of pids) {
    const result = searchMemory(pid, needles.map((needle) => Buffer.from(needle)));
    readBytes += result.readBytes;
    for (const hit of result.hits) inMemory.add(hit);
  }
  expectOnly('memory', inMemory, 'environment', 'event', 'memory');
  expect(readBytes).toBeGreaterThan(100 * 1024 * 1024);

  expectOnly('events', hitsIn(Buffer.from(JSON.stringify(await allEvents(client, id))), needles), 'event');
  const files = (await readdir(installation.dataDir)).filter((name) => name.startsWith('berth.db'));
  const database = Buffer.concat(await Promise.all(files.map((name) => readFile(join(installation.dataDir, name)))));
  expectOnly('database', hitsIn(database, needles), 'event');
  const log = await readFile(join(installation.dataDir, 'server.log'));
  expectOnly('log', hitsIn(log, needles));
  expect(log.includes(id), 'the log is this server\'s, and is searched').toBe(true);
  attached.close();
});

function hitsIn(text: Buffer, needles: readonly string[]): string[] {
  return needles.filter((needle) => text.includes(needle));
}

/** Never the secret itself: a test's output is kept. */
function nameOf(hit: string, all: ReadonlyMap<string, string>): string {
  for (const [name, value] of Object.entries(planted)) if (hit.includes(value)) return `planted ${name}`;
  for (const [name, value] of all) if (hit.includes(value)) return name;
  return hit;
}
