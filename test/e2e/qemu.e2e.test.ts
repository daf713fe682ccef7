import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installationId } from '../../src/sandbox/instance-lock.ts';
import { driverDirectory } from '../../src/sandbox/microvm/driver/installation.ts';
import { missingForQemu } from '../../src/sandbox/microvm/qemu-missing.fixture.ts';
import { placeSmallTemplate, smallTemplate } from '../../src/sandbox/microvm/small-template.fixture.ts';
import { openNameServer, type NameServer } from '../fixtures/name-server.ts';
import { openSmallInternet, type SmallInternet } from '../fixtures/small-internet.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, answerPermissions, scriptedSession, textOf } from './scripted.ts';

const mebibyte = 1024 ** 2;
/** As the provider's own suites have them, so that nothing is large. */
const limits = { cpus: 1, memoryBytes: 512 * mebibyte, pids: 128, diskBytes: 256 * mebibyte };

const missing = await missingForQemu();
if (missing !== null) process.stdout.write(`skipped: a session on qemu, for want of ${missing} (scripts/setup.sh test)\n`);

/** Programs of this installation's machines, whoever started them. */
async function machinesOf(dataDir: string): Promise<string[]> {
  const id = await installationId(driverDirectory(dataDir, 'qemu'));
  const commands = execFileSync('ps', ['-eo', 'args']).toString().split('\n');
  return commands.filter((command) => command.includes(`-name berth-${id}-`));
}

describe.skipIf(missing !== null)('a session on a virtual machine', () => {
  let installation: TestInstallation;
  let server: TestServer;

  beforeAll(async () => {
    installation = await createInstallation({ BERTH_PROVIDERS: 'qemu', BERTH_SLOTS: '1' });
    // Sessions need git.
    await placeSmallTemplate(join(installation.dataDir, 'templates'), ['git']);
    server = await installation.start();
  });

  afterAll(() => installation.remove());

  async function output(id: string, script: string): Promise<string> {
    const { stdout } = await server.client.sessions.exec(id, { argv: ['sh', '-c', script] });
    return new TextDecoder().decode(stdout).trim();
  }

  test('sleeps with its processes and a question, over a kill of the server, and goes on with both', async () => {
    const { id, provider } = await scriptedSession(server.client, { template: smallTemplate, limits });
    expect(provider).toBe('qemu');
    // A kernel of its own, not the host's.
    expect(await output(id, 'uname -r')).not.toBe(execFileSync('uname', ['-r']).toString().trim());
    const loop = 'i=0; while :; do i=$((i+1)); echo $i > ~/count; sleep 0.2; done';
    const counter = await server.client.sessions.processes.start(id, { argv: ['sh', '-c', loop] });
    const { turnId } = await server.client.sessions.prompt(id, 'ask Push it?\nsay done');
    for await (const event of server.client.sessions.events(id)) if (event.type === 'permission.requested') break;
    const counted = Number(await output(id, 'cat ~/count'));
    expect(counted).toBeGreaterThan(0);

    expect((await server.client.sessions.rest(id, 'hibernate')).status).toBe('asking');
    expect(await machinesOf(installation.dataDir)).toEqual([]);
    expect(readdirSync(join(driverDirectory(installation.dataDir, 'qemu'), 'sandboxes'))).toHaveLength(1);
    await server.kill();
    server = await installation.start();

    const stop = new AbortController();
    const answering = answerPermissions(server.client, id, 'allow_once', stop.signal);
    expect(await server.client.sessions.waitForTurn(id, turnId)).toMatchObject({ state: 'completed', error: null });
    stop.abort();
    expect(await answering).toBe(1);
    const events = await allEvents(server.client, id);
    // The same agent all along, asked once.
    expect(events.filter((event) => event.type === 'agent.started')).toHaveLength(1);
    expect(events.filter((event) => event.type === 'permission.requested')).toHaveLength(1);
    expect(textOf(events)).toContain('done');
    // And the same loop.
    const processes = await server.client.sessions.processes.list(id);
    expect(processes.find((each) => each.id === counter.id)).toMatchObject({ exit: null });
    await expect.poll(async () => Number(await output(id, 'cat ~/count')), { timeout: 60_000 }).toBeGreaterThan(counted);
    await server.client.sessions.delete(id);
    expect(await machinesOf(installation.dataDir)).toEqual([]);
  });
});

describe.skipIf(missing !== null)('a session on a virtual machine with a full network', () => {
  let internet: SmallInternet;
  let names: NameServer;
  let installation: TestInstallation;
  let server: TestServer;

  beforeAll(async () => {
    internet = await openSmallInternet();
    names = await openNameServer((name) => (name === 'public.test' ? internet.public4 : null));
    installation = await createInstallation({
      BERTH_PROVIDERS: 'qemu',
      BERTH_SLOTS: '1',
      BERTH_EGRESS: 'none',
      BERTH_ALLOW_FULL_NETWORK: 'true',
      BERTH_FULL_NETWORK_NAMESPACE: internet.namespace,
      BERTH_FULL_NETWORK_DNS: names.address,
    });
    await placeSmallTemplate(join(installation.dataDir, 'templates'), ['git']);
    server = await installation.start();
  });

  afterAll(async () => {
    await installation?.remove();
    names?.close();
    await internet?.close();
  });

  test('has names and public addresses from its start on, and loses them with its policy at once', async () => {
    const { client } = server;
    const session = await client.sessions.create({ agent: 'shell', template: smallTemplate, limits, egress: { presets: ['full'], allow: [] } });
    // By a question of its own: the small template's resolver knows files alone.
    const program = `require('dns').resolve4('public.test', (failed, [address] = []) => { if (failed) return console.log(failed.code);
      const s = require('net').connect(${internet.port}, address); s.setTimeout(20000, () => s.destroy(new Error('silent'))); s.on('data', (b) => { console.log(String(b).trim()); s.destroy(); }).on('error', (e) => console.log(e.code ?? e.message)); });`;
    const reach = async () => {
      const { stdout } = await client.sessions.exec(session.id, { argv: ['/berth/runner/bin/node', '-e', program], timeoutMs: 60_000 });
      return new TextDecoder().decode(stdout).trim();
    };
    const outside = internet.hosts[0]!;
    expect(await reach()).toMatch(outside);
    await client.egress.set(session.id, { presets: ['open'], allow: [] });
    expect(await reach()).not.toMatch(outside);
    // Its card leads nowhere now, and its memory is of a machine that has one.
    await client.sessions.exec(session.id, { argv: ['sh', '-c', 'echo kept > /dev/shm/note'] });
    await client.sessions.rest(session.id, 'hibernate');
    const { stdout } = await client.sessions.exec(session.id, { argv: ['cat', '/dev/shm/note'] });
    expect(new TextDecoder().decode(stdout)).toBe('kept\n');
    expect(await reach()).not.toMatch(outside);
    // A machine gets its card when it is started.
    await expect(client.egress.set(session.id, { presets: ['full'], allow: [] })).rejects.toMatchObject({ code: 'unsupported', field: 'network' });
    await client.sessions.rest(session.id, 'stop');
    expect(await reach()).toMatch(outside);
    await client.sessions.delete(session.id);
    expect(await internet.run('nft', 'list', 'ruleset')).toBe('');
  });
});
