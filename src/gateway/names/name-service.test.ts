import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as packet from 'dns-packet';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { namesPath } from '../../protocol/runner-api.ts';
import { createNameService } from './name-service.ts';

/** Names of a world, and what is asked of it. */
const records: Record<string, packet.Answer[]> = {
  'public.test': [{ type: 'A', name: 'public.test', ttl: 30, data: '93.184.215.14' }],
  'private.test': [{ type: 'A', name: 'private.test', ttl: 30, data: '10.0.0.1' }],
  'mixed.test': [
    { type: 'A', name: 'mixed.test', ttl: 0, data: '93.184.215.14' },
    { type: 'A', name: 'mixed.test', ttl: 0, data: '169.254.169.254' },
  ],
  'six.test': [{ type: 'AAAA', name: 'six.test', ttl: 30, data: 'fd00::1' }],
  'mapped.test': [{ type: 'AAAA', name: 'mapped.test', ttl: 30, data: '::ffff:127.0.0.1' }],
  'text.test': [{ type: 'TXT', name: 'text.test', ttl: 30, data: ['x'.repeat(200)] }],
};
let server: Server;
let url: string;
let asked: string[];
let recorded: unknown[];
let full: boolean;
let hold: Promise<void> | null;

beforeEach(async () => {
  [asked, recorded, full, hold] = [[], [], true, null];
  const names = createNameService({
    control: {
      hasFullNetwork: async () => full,
      record: (sessionId, target, { allowed, reason }) => void recorded.push({ sessionId, ...target, allowed, reason }),
    },
    async lookup(name, type) {
      asked.push(`${type} ${name}`);
      await hold;
      const found = records[name.toLowerCase()];
      if (found === undefined) throw Object.assign(new Error(name), { code: name.startsWith('late') ? 'ETIMEOUT' : 'ENOTFOUND' });
      const own = found.filter((each) => each.type === type);
      if (own.length === 0) throw Object.assign(new Error(name), { code: 'ENODATA' });
      return own;
    },
    allowLoopback: false,
  });
  server = createServer((request, response) => {
    if (!names.handle('ses_1', request, response)) response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${namesPath}`;
});
afterEach(() => void server.close());

const post = (body: Uint8Array, type = 'application/dns-message') =>
  fetch(url, { method: 'POST', headers: { 'content-type': type }, body: new Uint8Array(body) });

async function ask(name: string, type: packet.RecordType = 'A', flags = packet.RECURSION_DESIRED): Promise<packet.DecodedPacket & { rcode: string }> {
  const response = await post(packet.encode({ type: 'query', id: 9, flags, questions: [{ type, name }] }));
  expect(response.status).toBe(200);
  return packet.decode(Buffer.from(await response.arrayBuffer())) as packet.DecodedPacket & { rcode: string };
}

test('public names are answered, to the question that was asked', async () => {
  expect(await ask('Public.test')).toMatchObject({ type: 'response', id: 9, rcode: 'NOERROR', questions: [{ name: 'Public.test' }], answers: [{ type: 'A', data: '93.184.215.14', ttl: 30 }] });
  expect(await ask('text.test', 'TXT')).toMatchObject({ rcode: 'NOERROR', answers: [{ type: 'TXT' }] });
  expect(await ask('public.test', 'AAAA')).toMatchObject({ rcode: 'NOERROR', answers: [] });
  expect(await ask('no.test')).toMatchObject({ rcode: 'NXDOMAIN', answers: [] });
  expect(await ask('late.test')).toMatchObject({ rcode: 'SERVFAIL', answers: [] });
  expect(recorded).toEqual([]);
});

test('an answer with any private address is withheld whole, and told', async () => {
  const cases: [string, packet.RecordType][] = [['private.test', 'A'], ['mixed.test', 'A'], ['six.test', 'AAAA'], ['mapped.test', 'AAAA']];
  for (const [name, type] of cases) expect(await ask(name, type), name).toMatchObject({ rcode: 'NXDOMAIN', answers: [] });
  expect(recorded).toEqual(cases.map(([host]) => ({ sessionId: 'ses_1', host, port: 53, allowed: false, reason: 'the name has an address that is not public' })));
});

test('a session without a full network is refused, and nothing is looked up for it', async () => {
  full = false;
  expect(await ask('secret-that-leaves.public.test')).toMatchObject({ rcode: 'REFUSED', answers: [] });
  expect(asked).toEqual([]);
});

test('other messages are refused, and unneeded kinds have no records', async () => {
  expect(await ask('public.test', 'PTR')).toMatchObject({ rcode: 'NOERROR', answers: [] });
  expect(await ask('public.test', 'A', 5 << 11)).toMatchObject({ rcode: 'NOTIMP' });
  const question = { type: 'A', name: 'public.test' } as const;
  const two = await post(packet.encode({ type: 'query', id: 1, questions: [question, question] }));
  expect(packet.decode(Buffer.from(await two.arrayBuffer()))).toMatchObject({ rcode: 'NOTIMP' });
  expect((await post(Buffer.from('nonsense'))).status).toBe(400);
  expect((await post(Buffer.alloc(4096))).status).toBe(400);
  expect((await post(Buffer.alloc(20), 'text/plain')).status).toBe(400);
  expect((await fetch(url)).status).toBe(400);
  expect(asked).toEqual([]);
});

test('a session has so many questions open, and no more', async () => {
  let release = () => {};
  hold = new Promise((resolve) => (release = resolve));
  const query = packet.encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'public.test' }] });
  const open = Array.from({ length: 32 }, () => post(query));
  await expect.poll(() => asked.length).toBe(32);
  expect((await post(query)).status).toBe(429);
  release();
  expect((await Promise.all(open)).map(({ status }) => status)).toEqual(Array(32).fill(200));
  expect((await post(query)).status).toBe(200);
});
