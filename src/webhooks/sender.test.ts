import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { isPrivateAddress } from '../core/private-addresses.ts';
import { createWebhookSender, type Resolve } from './sender.ts';

let server: Server | null = null;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
  server = null;
});

interface Seen {
  method: string | undefined;
  url: string | undefined;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** A receiver on loopback; gives its port and what it got. */
async function receiver(status: number, headers: Record<string, string> = {}): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    response.writeHead(status, headers).end();
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, seen };
}

const userAgent = 'berth/test';
const signal = () => AbortSignal.timeout(5_000);
const post = (url: string) => ({ url, headers: { 'webhook-id': 'msg_1' }, body: '{"a":"é"}' });
const answering =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

describe('sending', () => {
  test('posts body and headers, and gives the status', async () => {
    const { port, seen } = await receiver(202);
    const sender = createWebhookSender({ allowLoopback: true, userAgent });
    expect(await sender.send(post(`http://127.0.0.1:${port}/hook?x=1`), signal())).toEqual({ status: 202 });
    expect(seen).toMatchObject([
      {
        method: 'POST',
        url: '/hook?x=1',
        headers: { 'webhook-id': 'msg_1', 'user-agent': userAgent },
        body: '{"a":"é"}',
      },
    ]);
  });

  test('follows no redirect', async () => {
    const { port, seen } = await receiver(302, { location: 'http://169.254.169.254/' });
    const sender = createWebhookSender({ allowLoopback: true, userAgent });
    expect(await sender.send(post(`http://127.0.0.1:${port}/`), signal())).toEqual({ status: 302 });
    expect(seen).toHaveLength(1);
  });

  test('connects to the address that was checked, not to a second answer', async () => {
    const { port, seen } = await receiver(200);
    let asked = 0;
    const resolve: Resolve = async () => [{ address: asked++ === 0 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
    const sender = createWebhookSender({ allowLoopback: true, userAgent, resolve });
    expect(await sender.send(post(`http://hook.example:${port}/`), signal())).toEqual({ status: 200 });
    expect([asked, seen[0]?.headers['host']]).toEqual([1, `hook.example:${port}`]);
  });

  test.each([
    ['loopback', 'http://127.0.0.1:1/', []],
    ['loopback, written short', 'http://127.1/', []],
    ['loopback as a number', 'http://2130706433/', []],
    ['loopback in IPv6', 'http://[::1]/', []],
    ['IPv4 mapped into IPv6', 'http://[::ffff:169.254.169.254]/', []],
    ['the metadata service', 'http://169.254.169.254/latest/meta-data', []],
    ['a private network', 'https://10.1.2.3/', []],
    ['any address', 'http://0.0.0.0/', []],
    ['a name that leads to a private network', 'https://inside.example/', ['192.168.0.1']],
    ['a name of which one address is private', 'https://mixed.example/', ['93.184.216.34', 'fd00::1']],
    ['localhost by name', 'http://localhost:1/', ['127.0.0.1', '::1']],
  ])('refuses %s', async (_name, url, addresses) => {
    const sender = createWebhookSender({ allowLoopback: false, userAgent, resolve: answering(...addresses) });
    await expect(sender.send(post(url), signal())).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('loopback may be allowed, and nothing else with it', async () => {
    const sender = createWebhookSender({ allowLoopback: true, userAgent });
    await expect(sender.send(post('http://10.0.0.1/'), signal())).rejects.toMatchObject({ code: 'forbidden' });
    await expect(sender.send(post('http://a:b@example.org/'), signal())).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  test('nobody there is unavailable, no answer in time is timeout', async () => {
    const sender = createWebhookSender({ allowLoopback: true, userAgent });
    const { port } = await receiver(200);
    server!.removeAllListeners('request');
    await expect(sender.send(post(`http://127.0.0.1:${port}/`), AbortSignal.timeout(100))).rejects.toMatchObject({
      code: 'timeout',
    });
    server!.closeAllConnections();
    await new Promise((resolve) => server!.close(resolve));
    server = null;
    await expect(sender.send(post(`http://127.0.0.1:${port}/`), signal())).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

test.each([
  ['8.8.8.8', false],
  ['93.184.216.34', false],
  ['2606:2800:220:1:248:1893:25c8:1946', false],
  ['::ffff:8.8.8.8', false],
  ['172.15.255.255', false],
  ['172.16.0.1', true],
  ['100.64.0.1', true],
  ['198.19.255.255', true],
  ['224.0.0.1', true],
  ['255.255.255.255', true],
  ['::', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['64:ff9b::7f00:1', true],
  ['2002:7f00:1::', true],
  ['fe80::1', true],
  ['fd12::1', true],
  ['ff02::1', true],
  ['2001:db8::1', true],
  ['nonsense', true],
])('%s is private: %s', (address, expected) => expect(isPrivateAddress(address)).toBe(expected));
