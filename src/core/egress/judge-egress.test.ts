import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { egressPolicy, parseEgressPolicy } from '../../protocol/egress.ts';
import { judgeEgress } from './judge-egress.ts';

const judge = (list: string, host: string, port = 443, gitHost: string | null = null) =>
  judgeEgress(parseEgressPolicy(list), gitHost, { host, port });

describe('egress rules', () => {
  test.each([
    ['none', 'registry.npmjs.org', 443, false],
    ['packages', 'registry.npmjs.org', 443, true],
    ['packages', 'registry.npmjs.org', 8443, false],
    ['packages', 'evil.registry.npmjs.org', 443, false],
    ['packages', 'registry.npmjs.org.evil.test', 443, false],
    ['packages', 'github.com', 443, false],
    ['git', 'github.com', 22, true],
    ['git', 'github.com', 25, false],
    ['open', 'anything.test', 9999, true],
    ['example.org', 'example.org', 80, true],
    ['example.org', 'example.org', 81, false],
    ['example.org:81', 'example.org', 81, true],
    ['example.org:81', 'example.org', 443, false],
    ['*.example.org', 'a.b.example.org', 443, true],
    ['*.example.org', 'example.org', 443, false],
    ['*.example.org', 'badexample.org', 443, false],
    ['EXAMPLE.org', 'example.org', 443, true],
  ])('%s: %s:%i is %s', (list, host, port, allowed) => {
    expect(judge(list, host, port).allowed).toBe(allowed);
  });

  test("the session's own repository's host belongs to the preset git, on its own port", () => {
    expect(judge('git', 'git.example.org', 443, 'git.example.org')).toEqual({ allowed: true, reason: 'preset git' });
    expect(judge('git', 'git.example.org', 3000, 'git.example.org:3000').allowed).toBe(true);
    expect(judge('git', 'git.example.org', 443, 'git.example.org:3000').allowed).toBe(false);
    expect(judge('packages', 'git.example.org', 443, 'git.example.org').allowed).toBe(false);
  });

  test('says which rule', () => {
    expect(judge('packages,*.example.org', 'a.example.org').reason).toBe('rule *.example.org');
    expect(judge('none', 'a.example.org').reason).toMatch(/no preset or rule/);
  });

  test.each(['*', '*.*', 'a..b', 'http://a.b', 'a.b/c', '-a.b', 'a.b:0', 'a.b:65536', 'a b', 'a.b:80:90', '[::1]', ''])(
    'refuses the rule %j',
    (rule) => expect(egressPolicy.safeParse({ presets: [], allow: [rule] }).success).toBe(false),
  );

  test('a rule without a wildcard allows one host only', () => {
    fc.assert(
      fc.property(fc.domain(), fc.domain(), (rule, host) => {
        const { allowed } = judge(rule, host.toLowerCase());
        expect(allowed).toBe(rule.toLowerCase() === host.toLowerCase());
      }),
    );
  });
});
