import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkBranchName, isBranchName, parseRepositoryUrl } from './git-names.ts';

const remote = (text: string) => parseRepositoryUrl(text, { allowLocal: false });
const local = (text: string) => parseRepositoryUrl(text, { allowLocal: true });

describe('repository addresses', () => {
  test.each([
    ['https://github.com/acme/widget', 'https://github.com/acme/widget', 'widget'],
    ['https://GitHub.com/acme/widget.git/', 'https://github.com/acme/widget.git', 'widget'],
    ['http://127.0.0.1:3000/a/b%20c.git', 'http://127.0.0.1:3000/a/b%20c.git', 'b-c'],
    ['https://host/acme/.claude', 'https://host/acme/.claude', 'claude'],
  ])('%s', (text, url, name) => expect(remote(text)).toEqual({ url, name }));

  test('local paths only where they are allowed', () => {
    expect(local('/srv/git/widget.git')).toEqual({ url: 'file:///srv/git/widget.git', name: 'widget' });
    expect(local('file:///srv/widget/.git')).toEqual({ url: 'file:///srv/widget/.git', name: 'widget' });
    expect(() => remote('/srv/git/widget.git')).toThrow('does not allow');
    expect(() => remote('file:///srv')).toThrow('does not allow');
    expect(() => local('file://host/srv')).toThrow('must not name a host');
  });

  test.each([
    ['https://user:pass@host/x', 'credentials'],
    ['https://token@host/x', 'credentials'],
    ['ext::sh -c touch% /tmp/x', 'space'],
    ['ext::sh', 'helper'],
    ['git@github.com:acme/widget.git', 'SSH'],
    ['ssh://git@host/x', 'SSH'],
    ['--upload-pack=/bin/sh', 'not a URL'],
    ['-x', 'not a URL'],
    ['widget', 'not a URL'],
    ['javascript:alert(1)', 'https://'],
    ['https://host/x?token=1', 'query'],
    ['https://host/x#y', 'fragment'],
    ['https://host/', 'no path'],
    ['https://host/..', 'no path'],
    ['https://host/x\ny', 'control'],
    [`https://host/${'x'.repeat(3000)}`, 'longer'],
  ])('%s is refused', (text, why) => {
    expect(() => remote(text)).toThrow(
      expect.objectContaining({ code: 'invalid_request', field: 'repository', message: expect.stringContaining(why) }),
    );
  });

  test('whatever is accepted is safe as an argument and as a folder', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webUrl(),
          fc.string().map((path) => `https://h/${path}`),
        ),
        (text) => {
          try {
            const { url, name } = remote(text);
            expect(url).toMatch(/^https?:\/\/[^\s@/]+\/\S+$/);
            expect(name).toMatch(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/);
            expect(remote(url)).toEqual({ url, name });
          } catch (error) {
            if ((error as { code?: string }).code !== 'invalid_request') throw error;
          }
        },
      ),
    );
  });
});

describe('branch names', () => {
  test('agree with git', () => {
    const piece = fc.constantFrom(
      'a',
      'B',
      '/',
      '.',
      '..',
      '-',
      '@',
      '@{',
      '{',
      '.lock',
      '~',
      '^',
      ':',
      '?',
      '*',
      '[',
      '\\',
      ' ',
      '\t',
      'é',
      'x',
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 5 }), (pieces) => {
        const name = pieces.join('');
        // `--branch` would resolve `@{-1}` and the like; outside a repository it cannot.
        const asked = spawnSync('git', ['check-ref-format', `refs/heads/${name}`], { cwd: '/' });
        const expected = asked.status === 0 && !name.startsWith('-') && name !== '@';
        expect(isBranchName(name), name).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });

  test('the field is named', () => {
    checkBranchName('berth/ses_01', 'branch');
    for (const name of ['HEAD', '', '-f', 'a\0b', 'x'.repeat(245), '\ud800']) {
      expect(() => checkBranchName(name, 'workBranch')).toThrow(
        expect.objectContaining({ code: 'invalid_request', field: 'workBranch' }),
      );
    }
  });
});
