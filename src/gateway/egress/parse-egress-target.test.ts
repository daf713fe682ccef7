import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAuthority, parseProxiedUrl } from './parse-egress-target.ts';

test.each([
  ['example.org:443', { host: 'example.org', port: 443 }],
  ['EXAMPLE.org:443', { host: 'example.org', port: 443 }],
  ['10.0.0.1:80', { host: '10.0.0.1', port: 80 }],
  ['[::1]:80', { host: '::1', port: 80 }],
  ['a_b.example.org:80', { host: 'a_b.example.org', port: 80 }],
])('%s', (text, target) => expect(parseAuthority(text)).toEqual(target));

test.each([
  'example.org',
  'example.org:',
  'example.org:0',
  'example.org:65536',
  'example.org:080',
  'example.org.:443',
  'user@example.org:443',
  '127.1:80',
  '0x7f000001:80',
  '0x7f.0.0.1:80',
  '2130706433:80',
  '127.0.0.1.:80',
  'a:b:80',
  '[fe80::1%25eth0]:80',
  '[127.0.0.1]:80',
  'exa mple.org:80',
  'example.org:80/x',
  '%31%32%37.0.0.1:80',
  '.example.org:80',
  '',
])('refuses the authority %j', (text) => expect(parseAuthority(text)).toBeNull());

test('proxied addresses', () => {
  expect(parseProxiedUrl('http://Example.org/a?b=c')).toEqual({
    to: { host: 'example.org', port: 80 },
    path: '/a?b=c',
    authority: 'example.org',
  });
  expect(parseProxiedUrl('http://example.org:8080?x')).toMatchObject({ to: { port: 8080 }, path: '/?x' });
  for (const text of ['https://example.org/', '/anthropic/v1/messages', 'http://a@example.org/', 'http:///x', 'ftp://a.b/', 'http://127.1/', 'http://a.b/ c']) {
    expect(parseProxiedUrl(text), text).toBeNull();
  }
});

test('whatever comes, the answer is a plain host and port or nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 60 }), fc.webAuthority({ withIPv4: true, withIPv6: true, withPort: true, withUserInfo: true })), (text) => {
      const target = parseAuthority(text);
      if (target === null) return;
      expect(target.host).toMatch(/^[a-z0-9._:-]+$/);
      expect(target.port).toBeGreaterThan(0);
      expect(target.port).toBeLessThan(65_536);
    }),
  );
});
