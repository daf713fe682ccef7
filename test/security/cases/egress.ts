import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { guestNode, type Range } from '../range.ts';

/** A tunnel, as the gateway is asked for one. */
const connectTo = (authority: string) => `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n\r\n`;
const get = (target: string, headers = '') => `GET ${target} HTTP/1.1\r\nhost: public.test\r\n${headers}connection: close\r\n\r\n`;

/** Names that the server resolves, and to what: see `resolver.c`. */
export const resolved = {
  'private.test': '10.0.0.1',
  'mapped.test': '::ffff:127.0.0.1',
  'mixed.test': '203.0.114.1,127.0.0.1',
  'metadata.test': '169.254.169.254',
  'six.test': 'fd00::1',
};

export function egressCases(range: () => Range): void {
  /** Bytes for the gateway by name; resolves to the first line of each answer. */
  async function raw(cases: Record<string, string>): Promise<Record<string, string>> {
    const { out, err } = await range().attack('raw.mjs', JSON.stringify(Object.entries(cases)));
    expect(err).toBe('');
    return JSON.parse(out) as Record<string, string>;
  }
  const all = (names: readonly string[], answer: unknown) => Object.fromEntries(names.map((name) => [name, answer]));

  test("private addresses, the host and Berth's own API are not reached, however they are written and with everything public allowed", async () => {
    const { server, client, attacker } = range();
    const port = new URL(server.url).port;
    // Addresses in the form that all agree on: judged as addresses.
    const addresses = [`127.0.0.1:${port}`, `[::1]:${port}`, `[::ffff:127.0.0.1]:${port}`, `[::ffff:7f00:1]:${port}`, `[0:0:0:0:0:ffff:127.0.0.1]:${port}`, `0.0.0.0:${port}`, `[::]:${port}`, '10.0.0.1:80', '192.168.1.1:22', '172.16.0.1:443', '100.64.0.1:80', '169.254.169.254:80', '[fe80::1]:80', '[fd00:ec2::254]:80', '[64:ff9b::7f00:1]:80', '[2002:7f00:1::]:80', '224.0.0.1:80', '255.255.255.255:80'];
    const names = Object.keys(resolved).map((name) => `${name}:${port}`);
    const local = ['localhost', hostname()].filter((name) => /^[a-z0-9.-]+$/i.test(name)).map((name) => `${name}:${port}`);
    const refused = [...addresses, ...names, ...local];
    expect(await raw(Object.fromEntries(refused.map((authority) => [authority, connectTo(authority)])))).toEqual(all(refused, 'HTTP/1.1 403 Forbidden'));
    expect(await raw(Object.fromEntries(refused.map((authority) => [authority, get(`http://${authority}/api/sessions`)])))).toEqual(all(refused, 'HTTP/1.1 403 Forbidden'));

    // Forms that one reader takes for an address and another for a name: nobody's target.
    const odd = ['2130706433', '0x7f000001', '0x7f.0.0.1', '0177.0.0.1', '127.1', '127.0.0.1.', 'localhost.', '%31%32%37.0.0.1', '127.0.0.1@public.test', '①②⑦.0.0.1', '127。0。0。1'];
    const malformed = [...odd.map((host) => `${host}:${port}`), '[127.0.0.1]:80', '[::1%25lo]:80', '127.0.0.1', ':80', 'public.test:0', 'public.test:65536', 'public.test:080', 'public.test:80:80', 'public.test:80/../x', '*', '/'];
    expect(await raw(Object.fromEntries(malformed.map((authority) => [authority, Buffer.from(connectTo(authority)).toString('latin1')])))).toEqual(all(malformed, 'HTTP/1.1 400 Bad Request'));

    const { decisions } = await client.egress.get(attacker);
    expect(decisions.filter(({ allowed }) => allowed)).toEqual([]);
    expect(decisions.length).toBeGreaterThanOrEqual(refused.length - 4);
  });

  test('requests that two readers would take apart differently are refused, and absolute forms lead nowhere else', async () => {
    const to = 'http://private.test/';
    const body = (headers: string, text: string) => `POST ${to} HTTP/1.1\r\nhost: x\r\n${headers}\r\n${text}`;
    const smuggled = {
      'two lengths': body('content-length: 5\r\ncontent-length: 6\r\n', 'aaaaaa'),
      'length and chunks': body('content-length: 4\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\nGET /x HTTP/1.1\r\n\r\n'),
      'chunks by another name': body('transfer-encoding: chunked, identity\r\n', '0\r\n\r\n'),
      'chunks with a tab': body('transfer-encoding:\tchunked\r\ncontent-length: 3\r\n', 'abc'),
      'a space before the colon': body('transfer-encoding : chunked\r\n', '0\r\n\r\n'),
      'a bare line feed': body('x: a\nhost: y\r\n', ''),
      'a folded header': body('x: a\r\n\thost: y\r\n', ''),
      'a negative length': body('content-length: -1\r\n', ''),
      'a header without an end': `GET ${to} HTTP/1.1\r\nx: ${'a'.repeat(40_000)}`,
      'another protocol': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'no protocol': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n',
    };
    const answers = await raw(smuggled);
    // The folded one is one header to Node's parser; it is then refused by its address like any other.
    for (const [name, answer] of Object.entries(answers)) expect(`${name}: ${answer}`).toMatch(/: (HTTP\/1\.1 4\d\d |closed|error ECONNRESET)/);
    const elsewhere = {
      'https in the clear': get('https://public.test/'),
      ftp: get('ftp://public.test/'),
      file: get('file:///etc/passwd'),
      'credentials in the address': get('http://public.test@private.test/'),
      'a host that only the header names': get('/api/sessions', 'x-forwarded-host: 127.0.0.1\r\n'),
      'its own port': get('http://127.0.0.1:8079/anthropic/v1/messages'),
      'an upgrade': get('http://private.test/', 'upgrade: websocket\r\nconnection: upgrade\r\n'),
    };
    expect(await raw(elsewhere)).toEqual(all(Object.keys(elsewhere), 'HTTP/1.1 403 Forbidden'));
  });

  test('a name carries nothing out: what the policy refuses is not even looked up', async () => {
    const { client, attacker } = range();
    await client.egress.set(attacker, { presets: ['packages', 'git'], allow: [] });
    const secret = Buffer.from('what must not leave').toString('hex');
    const names = [`${secret}.private.test:443`, `${secret}.mapped.test:80`, `registry.npmjs.org.${secret}.private.test:443`];
    expect(await raw(Object.fromEntries(names.map((name) => [name, connectTo(name)])))).toEqual(all(names, 'HTTP/1.1 403 Forbidden'));
    const { decisions } = await client.egress.get(attacker);
    for (const { host, reason } of decisions.filter((each) => each.host.includes(secret))) expect(`${host}: ${reason}`).not.toContain('public address');
    expect(decisions.filter(({ host }) => host.includes(secret))).toHaveLength(names.length);
    await client.egress.set(attacker, { presets: ['open'], allow: [] });
  });

  test('past the gateway there is no way: sockets of its own reach nobody, by name or address, on either version of IP', async () => {
    const { attacker, run, server } = range();
    const program = `
      const net = require('node:net'), dgram = require('node:dgram'), dns = require('node:dns');
      const tcp = (host, port) => new Promise((done) => net.connect({ host, port, timeout: 8000 }).on('connect', () => done('connected')).on('timeout', () => done('silent')).on('error', (e) => done(e.code)));
      const udp = (type, host, port) => new Promise((done) => { const s = dgram.createSocket(type); s.on('error', (e) => done(e.code)); s.on('message', () => done('answered')); s.connect(port, host, (e) => e ? done(e.code) : s.send('x', (e) => setTimeout(() => done(e ? e.code : 'sent'), 200))); });
      const asked = (server) => new Promise((done) => { const r = new dns.Resolver({ timeout: 500, tries: 1 }); r.setServers([server]); r.resolve4('berth.test', (e) => done(e ? e.code : 'answered')); });
      (async () => {
        const [tcp4, tcp6, metadata, api, udp4, udp6, dns4, looked] = await Promise.all([tcp('192.0.2.1', 80), tcp('2001:db8::1', 80), tcp('169.254.169.254', 80), tcp('127.0.0.1', ${new URL(server.url).port}), udp('udp4', '192.0.2.1', 53), udp('udp6', '2001:db8::1', 53), asked('192.0.2.1'), new Promise((done) => dns.lookup('example.org', (e) => done(e ? e.code : 'found')))]);
        console.log(JSON.stringify({ tcp4, tcp6, metadata, api, udp4, udp6, dns4, looked }));
        process.exit();
      })();`;
    const { out } = await run(attacker, [guestNode, '-e', program]);
    expect(JSON.parse(out)).toEqual({
      tcp4: expect.stringMatching(/^E(NETUNREACH|HOSTUNREACH|ACCES)$/),
      tcp6: expect.stringMatching(/^E(NETUNREACH|HOSTUNREACH|ADDRNOTAVAIL|ACCES)$/),
      metadata: expect.stringMatching(/^E(NETUNREACH|HOSTUNREACH|ACCES)$/),
      // Loopback inside is not the host's.
      api: 'ECONNREFUSED',
      udp4: expect.stringMatching(/^E(NETUNREACH|HOSTUNREACH|ACCES)$/),
      udp6: expect.stringMatching(/^E(NETUNREACH|HOSTUNREACH|ADDRNOTAVAIL|ACCES)$/),
      dns4: expect.stringMatching(/^E(CONNREFUSED|TIMEOUT|NETUNREACH)$/),
      looked: expect.stringMatching(/^E(AI_AGAIN|NOTFOUND)$/),
    });
  });
}
