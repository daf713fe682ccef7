import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseGitTarget } from './git-target.ts';

test('the four requests of the smart protocol', () => {
  const of = (method: string, target: string) => parseGitTarget(method, target);
  const at = { host: 'example.org:8443', path: '/acme/widgets.git' };
  const base = '/git/example.org:8443/acme/widgets.git';
  expect(of('GET', `${base}/info/refs?service=git-upload-pack`)).toEqual({ ...at, service: 'git-upload-pack', step: 'advertise' });
  expect(of('GET', `${base}/info/refs?service=git-receive-pack`)).toEqual({ ...at, service: 'git-receive-pack', step: 'advertise' });
  expect(of('POST', `${base}/git-upload-pack`)).toEqual({ ...at, service: 'git-upload-pack', step: 'exchange' });
  expect(of('POST', `${base}/git-receive-pack`)).toEqual({ ...at, service: 'git-receive-pack', step: 'exchange' });
});

test.each([
  ['GET', '/git/h/a/b/info/refs'],
  ['GET', '/git/h/a/b/info/refs?service=git-upload-archive'],
  ['GET', '/git/h/a/b/info/refs?service=git-upload-pack&x=1'],
  ['GET', '/git/h/a/b/HEAD'],
  ['GET', '/git/h/a/b/objects/info/packs'],
  ['GET', '/git/h/a/b/git-upload-pack'],
  ['POST', '/git/h/a/b/git-upload-archive'],
  ['POST', '/git/h/a/b/git-receive-pack?x'],
  ['POST', '/git/h/a/../b/git-receive-pack'],
  ['POST', '/git/h/a/%2e%2E/b/git-receive-pack'],
  ['POST', '/git/h/a//b/git-receive-pack'],
  ['POST', '/git/h/a\\b/git-receive-pack'],
  ['POST', '/git/h@evil/a/git-receive-pack'],
  ['POST', '/git/h/git-receive-pack'],
  ['POST', '/git//a/git-receive-pack'],
  ['PUT', '/git/h/a/b/git-receive-pack'],
  ['POST', 'http://h/git/h/a/b/git-receive-pack'],
])('%s %s is none', (method, target) => {
  expect(parseGitTarget(method, target)).toBeNull();
});

test('whatever comes, a path has no steps of dots and no second meaning', () => {
  const step = fc.string({ unit: fc.constantFrom(...'ab./%2e\\:@?#'), maxLength: 12 });
  fc.assert(
    fc.property(step, step, (host, path) => {
      const target = parseGitTarget('POST', `/git/${host}/${path}/git-receive-pack`);
      if (target === null) return;
      const url = new URL(`http://h${target.path}`);
      expect(url.pathname).toBe(target.path);
      expect(url.search + url.hash).toBe('');
    }),
  );
});
