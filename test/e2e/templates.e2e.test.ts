import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TemplateJob } from '../../src/protocol/templates-api.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { runTurn, scriptedSession } from './scripted.ts';

/** Templates from real tools, without a registry: an image archive, a Dockerfile, a tar; sessions on them; what a killed build leaves. */
let installation: TestInstallation;
let server: TestServer;
let work: string;

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'berth-templates-'));
  installation = await createInstallation();
  server = await installation.start();
});
afterAll(async () => {
  await installation.remove();
  rmSync(work, { recursive: true, force: true });
});

/** A root of a static busybox, and the git that sessions need with what that is bound to. */
async function busyboxRoot(): Promise<string> {
  const root = join(work, 'root');
  for (const name of ['bin', 'etc', 'usr/bin', 'srv/old']) mkdirSync(join(root, name), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  for (const name of ['sh', 'cat', 'ls', 'id', 'env', 'echo', 'stat', 'sleep']) symlinkSync('busybox', join(root, 'bin', name));
  await copyWithLibraries('/usr/bin/git', root);
  writeFileSync(join(root, 'etc/os-release'), 'ID=tiny\n');
  writeFileSync(join(root, 'srv/old/file'), 'below');
  return root;
}

async function copyWithLibraries(program: string, root: string): Promise<void> {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const file of [program, ...libraries]) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    await copyFile(file, join(root, file));
  }
}

/** An archive of two layers, the upper of which takes away from the lower. */
async function imageArchive(): Promise<string> {
  const layout = join(work, 'layout');
  const archive = join(work, 'tiny.tar');
  const image = ['--image', `${layout}:tiny`];
  const run = (file: string, ...args: string[]) => execFileSync(file, args, { stdio: 'pipe' });
  const lower = join(work, 'lower.tar');
  run('tar', '--create', '--file', lower, '--directory', await busyboxRoot(), '.');
  const changes = join(work, 'changes');
  mkdirSync(join(changes, 'srv'), { recursive: true });
  writeFileSync(join(changes, 'srv/.wh.old'), '');
  writeFileSync(join(changes, 'srv/new'), 'above');
  const upper = join(work, 'upper.tar');
  run('tar', '--create', '--file', upper, '--directory', changes, 'srv/.wh.old', 'srv/new');
  run('umoci', 'init', '--layout', layout);
  run('umoci', 'new', ...image);
  for (const layer of [lower, upper]) run('umoci', 'raw', 'add-layer', ...image, layer);
  run('umoci', 'config', ...image, '--config.env', 'GREETING=from the image', '--config.env', 'LD_PRELOAD=/evil.so');
  run('skopeo', '--insecure-policy', 'copy', `oci:${layout}:tiny`, `oci-archive:${archive}:tiny`);
  return archive;
}

async function ended(job: TemplateJob): Promise<{ job: TemplateJob; log: string }> {
  const lines: string[] = [];
  for await (const event of server.client.templates.follow(job.id)) {
    if (event.type === 'ended') return { job: event.job, log: lines.join('\n') };
    lines.push(event.text);
  }
  throw new Error('the stream had no end');
}

const build = async (name: string, from: string) => ended(await server.client.templates.build(name, { from }));
const templatesDir = () => join(installation.dataDir, 'templates');
const templateNames = () => readdirSync(templatesDir()).filter((name) => !name.startsWith('.')).toSorted();
const leftovers = () => (existsSync(join(templatesDir(), '.work')) ? readdirSync(join(templatesDir(), '.work')) : []);

test('an image becomes a template, and a session works on it', async () => {
  const from = `oci-archive:${await imageArchive()}`;
  const { job, log } = await build('tiny', from);
  expect(job).toMatchObject({ status: 'succeeded', template: 'tiny', error: null });
  expect(log).toContain('layer 2 of 2');
  const view = await server.client.templates.get('tiny');
  expect(view).toMatchObject({ name: 'tiny', version: job.version, from, env: { GREETING: 'from the image' } });
  expect(view.layers).toHaveLength(2);
  expect((await server.client.templates.list()).map(({ name }) => name)).toEqual(['default', 'tiny']);

  // The same again is the same version, and a layer that is here is not unpacked again.
  const again = await build('tiny', from);
  expect(again.job.version).toBe(job.version);
  expect(again.log).toContain('is here already');

  const session = await scriptedSession(server.client, { template: 'tiny' });
  const script = 'cat /etc/os-release; cat /srv/new; ls /srv; id -un; echo $GREETING; echo preload=$LD_PRELOAD; ls -ld /tmp';
  const output = await server.client.sessions.exec(session.id, { argv: ['sh', '-c', script] });
  const lines = decode(output.stdout).trim().split('\n');
  expect(lines.slice(0, 5)).toEqual(['ID=tiny', 'abovenew', 'user', 'from the image', 'preload=']);
  expect(lines[5]).toMatch(/^drwxrwxrwt/);
  const { turn, events } = await runTurn(server.client, session.id, 'bash cat /etc/os-release > /home/user/seen; cat /home/user/seen');
  expect(turn).toMatchObject({ state: 'completed', error: null });
  expect(JSON.stringify(events)).toContain('ID=tiny');

  // It cannot go while it is used, and goes without a rest when it is not.
  await expect(server.client.templates.remove('tiny')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(session.id) });
  expect(await server.client.templates.get('tiny')).toMatchObject({ version: job.version });
  await server.client.sessions.delete(session.id);
});

test('a session names a template that is there, at once', async () => {
  await expect(server.client.sessions.create({ agent: 'shell', template: 'no-such' })).rejects.toMatchObject({ code: 'unknown_template', status: 422, field: 'template' });
  await expect(server.client.sessions.create({ agent: 'shell', template: '../tiny' })).rejects.toMatchObject({ code: 'unknown_template', field: 'template' });
  expect(await server.client.sessions.list({})).toEqual([]);
});

test('a Dockerfile is built, and what was pushed is a template again', async () => {
  const context = join(work, 'context');
  mkdirSync(context);
  await copyFile('/bin/busybox', join(context, 'busybox'));
  await copyWithLibraries('/usr/bin/git', join(context, 'root'));
  writeFileSync(
    join(context, 'Dockerfile'),
    ['FROM scratch', 'COPY root /', 'COPY busybox /bin/busybox', 'RUN ["/bin/busybox", "--install", "-s", "/bin"]', 'RUN echo built > /built && mkdir -p /home/user && echo rc > /home/user/.rc', 'ENV COLOUR=blue', ''].join('\n'),
  );
  const { job, log } = await build('filed', context);
  expect(job).toMatchObject({ status: 'succeeded' });
  expect(log).toContain('RUN echo built');

  const pushed = join(work, 'pushed.tar');
  const push = await ended(await server.client.templates.push('filed', { to: `oci-archive:${pushed}` }));
  expect(push.job).toMatchObject({ kind: 'push', status: 'succeeded', version: job.version });
  const back = await build('back', `oci-archive:${pushed}`);
  expect(back.job).toMatchObject({ status: 'succeeded' });
  expect(await server.client.templates.get('back')).toMatchObject({ env: { COLOUR: 'blue' } });

  const session = await server.client.sessions.create({ agent: 'shell', template: 'back' });
  const { stdout } = await server.client.sessions.exec(session.id, { argv: ['sh', '-c', 'cat /built /home/user/.rc; echo $COLOUR'] });
  expect(decode(stdout).trim().split('\n')).toEqual(['built', 'rc', 'blue']);
  await server.client.sessions.delete(session.id);
  const { entries } = await server.client.audit.list({});
  expect(entries.map(({ action }) => action)).toEqual(expect.arrayContaining(['template.built', 'template.pushed']));
});

test('a build that fails, is cancelled, or loses its server leaves nothing', async () => {
  const before = { layers: readdirSync(join(templatesDir(), '.layers')).toSorted(), names: templateNames() };
  const context = join(work, 'endless');
  mkdirSync(context);
  await copyFile('/bin/busybox', join(context, 'busybox'));
  const dockerfile = (command: string) =>
    writeFileSync(join(context, 'Dockerfile'), `FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", ${command}]\n`);
  const untilRunning = async (job: TemplateJob) => {
    for await (const event of server.client.templates.follow(job.id)) if (event.type === 'line' && event.text.includes('RUN')) return;
  };
  const unchanged = () => {
    expect(leftovers()).toEqual([]);
    expect(readdirSync(join(templatesDir(), '.layers')).toSorted()).toEqual(before.layers);
    expect(templateNames()).toEqual(before.names);
  };

  const hostile = join(work, 'hostile.tar');
  execFileSync('tar', ['--create', '--absolute-names', '--file', hostile, '/bin/busybox']);
  expect((await build('bad', hostile)).job).toMatchObject({ status: 'failed', error: { code: 'invalid_request', message: expect.stringContaining('absolute') } });
  const linked = join(work, 'linked');
  mkdirSync(linked);
  symlinkSync('/root', join(linked, 'home'));
  expect((await build('bad', linked)).job).toMatchObject({ status: 'failed', error: { code: 'invalid_request', message: expect.stringContaining('/home') } });
  dockerfile('"false"');
  expect((await build('bad', context)).job).toMatchObject({ status: 'failed', error: { code: 'upstream_failed' } });
  unchanged();

  dockerfile('"sleep", "4217"');
  const cancelled = await server.client.templates.build('bad', { from: context });
  await untilRunning(cancelled);
  await expect(server.client.templates.build('other', { from: context })).rejects.toMatchObject({ code: 'conflict' });
  expect(await server.client.templates.cancel(cancelled.id)).toMatchObject({ status: 'cancelled' });
  unchanged();

  const killed = await server.client.templates.build('bad', { from: context });
  await untilRunning(killed);
  await server.kill();
  server = await installation.start();
  expect(await server.client.templates.job(killed.id)).toMatchObject({ status: 'failed', error: { code: 'unavailable' } });
  unchanged();
  const running = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && argvOf(pid).includes('4217'));
  expect(running).toEqual([]);

  for (const name of ['tiny', 'filed', 'back']) await server.client.templates.remove(name);
  await expect(server.client.templates.remove('default')).rejects.toMatchObject({ code: 'conflict' });
  expect(readdirSync(join(templatesDir(), '.layers'))).toEqual([]);
  expect((await server.client.templates.list()).map(({ name }) => name)).toEqual(['default']);
  expect(lstatSync('/root').isDirectory()).toBe(true);
});

function argvOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Of a hundred packages, from wherever the mirror is. */
const suiteMs = 900_000;
const wantsSuite = process.env['BERTH_TEST_TEMPLATES'] === 'suite';
if (!wantsSuite) process.stdout.write('skipped: a template of a whole Debian suite, minutes of packages, for which BERTH_TEST_TEMPLATES=suite asks\n');

test.skipIf(!wantsSuite)('a Debian suite becomes a template, and a session has its git and its certificates', async () => {
  const { job } = await build('debian', 'suite:bookworm');
  expect(job).toMatchObject({ status: 'succeeded', error: null });
  const session = await scriptedSession(server.client, { template: 'debian' });
  const script = '. /etc/os-release; echo $VERSION_CODENAME; git --version; test -s /etc/ssl/certs/ca-certificates.crt && echo certificates; id -un';
  const { stdout } = await server.client.sessions.exec(session.id, { argv: ['sh', '-c', script] });
  expect(decode(stdout).trim().split('\n')).toEqual(['bookworm', expect.stringMatching(/^git version 2\./), 'certificates', 'user']);
  const { turn, text } = await runTurn(server.client, session.id, 'bash cat /etc/debian_version > seen && cat seen\nsay done');
  expect(turn).toMatchObject({ state: 'completed', error: null });
  expect(text).toContain('done');
  await server.client.sessions.delete(session.id);
}, suiteMs);
