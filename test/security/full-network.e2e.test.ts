import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createInstallation, runsOnGvisor, type TestInstallation, type TestServer } from '../e2e/harness.ts';
import { openNameServer, type NameServer } from '../fixtures/name-server.ts';
import { openSmallInternet, type SmallInternet } from '../fixtures/small-internet.ts';
import { guestNode } from './range.ts';

/** What a hostile program can try in a sandbox that has a network of its own, through a real server. */
let internet: SmallInternet;
let installation: TestInstallation;
let server: TestServer;
let client: BerthClient;
let names: NameServer;
/** Answers of a name that changes its address, in turn. */
const rebinding = ['93.184.215.14', '10.77.0.5', '169.254.169.254', '127.0.0.1'];

beforeAll(async () => {
  internet = await openSmallInternet();
  const { public4 } = internet;
  names = await openNameServer((name, times) => (name === 'public.test' ? public4 : name === 'rebind.test' ? rebinding[times - 1]! : null));
  installation = await createInstallation({
    BERTH_SLOTS: '3',
    BERTH_EGRESS: 'none',
    BERTH_FULL_NETWORK_NAMESPACE: internet.namespace,
    BERTH_FULL_NETWORK_DNS: names.address,
  });
  server = await installation.start({ BERTH_ALLOW_FULL_NETWORK: 'true' });
  ({ client } = server);
});

afterAll(async () => {
  await installation?.remove();
  names?.close();
  const left = internet === undefined ? '' : `${await internet.run('nft', 'list', 'ruleset')}${await internet.run('ip', '-brief', 'link', 'show', 'type', 'veth')}`;
  await internet?.close();
  expect(left.replace(/^uplink.*\n/, '')).toBe('');
});

async function run(session: string, argv: string[], timeoutMs = 30_000): Promise<string> {
  const { stdout, stderr } = await client.sessions.exec(session, { argv, timeoutMs });
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}
const node = (session: string, program: string, ...args: string[]) => run(session, [guestNode, '-e', program, ...args]);

/** Each target's answer, or why there is none. */
async function reach(session: string, targets: readonly string[]): Promise<Record<string, string>> {
  return JSON.parse(await node(session, dial, String(internet.port), ...targets)) as Record<string, string>;
}
const dial = `
const [port, ...targets] = process.argv.slice(1);
const tcp = (host) => new Promise((done) => { const s = require('net').connect({ host, port, timeout: 2000 }); s.on('data', (b) => { done(String(b).trim()); s.destroy(); }).on('timeout', () => { done('silent'); s.destroy(); }).on('error', (e) => done(e.code)); });
Promise.all(targets.map(tcp)).then((all) => { console.log(JSON.stringify(Object.fromEntries(targets.map((each, at) => [each, all[at]])))); process.exit(); });`;
const unreached = expect.stringMatching(/^(E(HOST|NET)UNREACH|EACCES|EADDRNOTAVAIL|EINVAL|ECONNREFUSED|silent)$/) as unknown;

test('gVisor has no full network and says so', async () => {
  if (!runsOnGvisor) return;
  await expect(client.sessions.create({ agent: 'shell', egress: { presets: ['full'], allow: [] } })).rejects.toMatchObject({ code: 'unsupported', field: 'egress' });
});

test('a full network is what the policy says, through everything a session goes through, and no way into the host', async () => {
  if (runsOnGvisor) return;
  const { public4, public6, private4, private6, metadata, hosts } = internet;
  const one = await client.sessions.create({ agent: 'shell', egress: { presets: ['full'], allow: [] } });
  const other = await client.sessions.create({ agent: 'shell' });
  const outside = `::ffff:${hosts[0]}`;

  // Names come from the gateway; a session without a network of its own asks nobody.
  expect(await reach(one.id, ['public.test', public4, public6])).toEqual({ 'public.test': outside, [public4]: outside, [public6]: hosts[1] });
  names.asked.length = 0;
  expect(await reach(other.id, ['leak.public.test', public4])).toEqual({ 'leak.public.test': 'EAI_AGAIN', [public4]: unreached });
  expect(names.asked).toEqual([]);

  // The name's first answer is public; each later one is withheld, and nothing is reached by the address that was told before.
  names.asked.length = 0;
  expect(await reach(one.id, ['rebind.test'])).toEqual({ 'rebind.test': outside });
  for (const _ of rebinding.slice(1)) expect(await reach(one.id, ['rebind.test'])).toEqual({ 'rebind.test': 'ENOTFOUND' });
  expect((await client.egress.get(one.id)).decisions).toContainEqual(expect.objectContaining({ host: 'rebind.test', port: 53, allowed: false, count: 3 }));

  // The gateway answers beside it, and refuses what it always did.
  const proxied = `require('http').get({ host: '127.0.0.1', port: 8079, path: 'http://${private4}/' }, (r) => { console.log(r.statusCode); r.resume(); })`;
  expect(await node(one.id, proxied)).toBe('403\n');

  // The host, by every address it has: its own servers, the API and the gateway's listeners, and what only it can reach.
  const own = (await run(one.id, [guestNode, '-p', 'Object.values(require("os").networkInterfaces()).flat().filter((each) => !each.internal).map((each) => each.address).join(" ")'])).trim().split(' ');
  const targets = [...hosts, private4, private6, metadata, '198.18.0.1', '127.0.0.2', '172.17.0.1', '192.168.0.1', '100.64.0.1', '::ffff:10.77.0.5', '64:ff9b::a4d:5', 'fe80::1%eth0', '255.255.255.255', '0.0.0.0'];
  expect(await reach(one.id, targets)).toEqual(Object.fromEntries(targets.map((target) => [target, unreached])));

  // Nothing about it can be changed from inside, and no address be taken that is another's.
  const changes = ['ip address add 10.77.0.9/24 dev eth0', 'ip route replace default via 198.18.0.1 src 10.77.0.9', 'ip link set eth0 down', 'nft list ruleset', 'ip link add x type dummy', 'ip neigh replace 198.18.0.1 lladdr 02:00:00:00:00:01 dev eth0', 'echo 1 > /proc/sys/net/ipv4/ip_forward'];
  for (const change of changes) expect(await run(one.id, ['sh', '-c', `PATH=$PATH:/sbin:/usr/sbin; (${change}) >/dev/null 2>&1 && echo done || echo refused`]), change).toBe('refused\n');
  const raw = `import socket
for family, kind, protocol in [(socket.AF_PACKET, socket.SOCK_RAW, 0x0300), (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW), (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)]:
  try: socket.socket(family, kind, protocol); print('opened')
  except OSError as error: print('refused')
s = socket.socket(); s.setsockopt(socket.IPPROTO_IP, 15, 1)
try: s.bind(('10.77.0.9', 0)); s.settimeout(2); s.connect(('${public4}', ${internet.port})); print('spoofed')
except OSError: print('refused')`;
  expect(await run(one.id, ['python3', '-c', raw])).toBe('refused\n'.repeat(4));

  // So many connections at once, and then no more: the host's table of them is everybody's.
  const flood = `
const net = require('net'); let open = 0, ended = 0; const all = 1300;
for (let n = 0; n < all; n += 1) net.connect(${internet.port}, '${public4}').on('connect', () => settle(++open)).on('error', () => settle());
const settle = () => { if (++ended === all) { console.log(open); process.exit(); } };
setTimeout(() => { console.log(open); process.exit(); }, 15000);`;
  const opened = Number(await node(one.id, flood));
  expect(opened).toBeGreaterThan(500);
  expect(opened).toBeLessThanOrEqual(1024);
  const { connections } = await client.sessions.usage(one.id);
  expect(connections!.refused).toBeGreaterThan(targets.length);

  // Over a server that was killed, and one that is started without the operator's leave.
  await server.kill();
  server = await installation.start({ BERTH_ALLOW_FULL_NETWORK: 'true' });
  ({ client } = server);
  expect(await reach(one.id, ['public.test', private4])).toEqual({ 'public.test': outside, [private4]: unreached });
  await client.egress.set(one.id, { presets: ['open'], allow: [] });
  expect(await reach(one.id, [public4])).toEqual({ [public4]: unreached });
  await client.egress.set(one.id, { presets: ['full'], allow: [] });
  await client.egress.set(other.id, { presets: ['full'], allow: [] });
  const both = await Promise.all([one.id, other.id].map((id) => reach(id, [public4, ...own])));
  expect(both[1]).toEqual({ [public4]: outside, ...Object.fromEntries(own.map((address) => [address, unreached])) });
  await server.kill();
  server = await installation.start({});
  ({ client } = server);
  expect(await reach(one.id, [public4])).toEqual({ [public4]: unreached });
  expect(await internet.run('nft', 'list', 'ruleset')).toBe('');
  const refusal = { code: 'forbidden', message: expect.stringContaining('BERTH_ALLOW_FULL_NETWORK') };
  await expect(client.sessions.create({ agent: 'shell', egress: { presets: ['full'], allow: [] } })).rejects.toMatchObject({ ...refusal, field: 'egress' });
  await expect(client.egress.set(other.id, { presets: ['full'], allow: [] })).rejects.toMatchObject({ ...refusal, field: 'policy' });
});
