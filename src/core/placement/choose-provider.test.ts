import { describe, expect, test } from 'vitest';
import type { SandboxCapabilities, SandboxProvider } from '../ports/sandbox-provider.ts';
import { createProviders } from '../providers.ts';
import { chooseProvider, type Wish } from './choose-provider.ts';
import { noPolicy, placementPolicy } from './policy.ts';

const every: SandboxCapabilities['limits'] = ['cpus', 'memoryBytes', 'pids', 'diskBytes'];
const named = (name: string, limits = every) =>
  ({ name, capabilities: { limits, network: name === 'oci' ? ['none', 'full'] : ['none'] } }) as unknown as SandboxProvider;
const providers = createProviders([named('oci'), named('docker', ['cpus', 'memoryBytes', 'pids']), named('qemu')]);

const policy = placementPolicy.parse({
  providers: { qemu: { residency: ['eu'], memoryMib: 4096 }, docker: { gpu: true } },
  rules: [
    { name: 'payments', teams: ['payments'], providers: ['qemu'] },
    { name: 'untrusted', repositories: ['github.com/strangers/*'], labels: ['outside', 'fork'], providers: ['qemu', 'docker'] },
    { name: 'training', gpu: true, providers: ['oci', 'docker'] },
    { name: 'large', memoryMibAtLeast: 8192, providers: ['qemu', 'docker'] },
    { name: 'europe', residency: ['eu'], providers: ['oci', 'qemu'] },
    { name: 'alan', users: ['alan'], providers: ['docker'] },
  ],
  default: ['oci', 'docker'],
});

function choose(more: Partial<Wish>, by = policy) {
  const wish = { owner: 'eve', teams: [], repositoryUrl: null, labels: [], gpu: false, residency: null, network: 'none' as const, limits: {}, provider: null };
  const { provider, placement } = chooseProvider(providers, by, { ...wish, ...more });
  return [provider.name, placement.others, placement.reason] as const;
}

describe('the first rule that holds decides', () => {
  const gibibyte = 1024 ** 3;
  const strangers = 'https://GitHub.com/strangers/tool.git';
  test.each<[string, Partial<Wish>, readonly [string, string[], string]]>([
    ['a team', { teams: ['payments'] }, ['qemu', [], 'the rule "payments"']],
    ['a user', { owner: 'alan' }, ['docker', [], 'the rule "alan"']],
    ['a repository and a label', { repositoryUrl: strangers, labels: ['fork'] }, ['qemu', ['docker'], 'the rule "untrusted"']],
    ['a repository without the label', { repositoryUrl: strangers }, ['oci', ['docker'], 'the default of the policy']],
    ['another host that only ends alike', { repositoryUrl: 'https://evil-github.com/strangers/x', labels: ['fork'] }, ['oci', ['docker'], 'the default of the policy']],
    ['a GPU', { gpu: true }, ['docker', [], 'the rule "training"; the provider oci has no GPU']],
    ['much memory', { limits: { memoryBytes: 8 * gibibyte } }, ['docker', [], 'the rule "large"; the provider qemu has at most 4096 MiB for a sandbox']],
    ['where data lies', { residency: 'eu' }, ['qemu', [], 'the rule "europe"; the provider oci keeps no data in "eu"']],
    ['a name that the policy allows', { provider: 'docker' }, ['docker', [], 'asked for by name']],
    ['a limit that one cannot enforce', { owner: 'eve', limits: { diskBytes: 1 } }, ['oci', [], 'the default of the policy; the provider docker cannot enforce diskBytes']],
  ])('%s', (_, wish, expected) => {
    expect(choose(wish)).toEqual(expected);
  });
});

test('without a policy the first is taken, alone; another by its name', () => {
  expect(choose({}, noPolicy)).toEqual(['oci', [], 'the first provider of this server']);
  expect(choose({ provider: 'qemu' }, noPolicy)).toEqual(['qemu', [], 'asked for by name']);
});

describe('a need that nobody meets, and a name that is not allowed, are refused', () => {
  test.each<[string, Partial<Wish>, object]>([
    ['an unknown provider', { provider: 'moon' }, { code: 'invalid_request', field: 'provider' }],
    ['one that the rule does not name', { teams: ['payments'], provider: 'oci' }, { code: 'invalid_request', field: 'provider' }],
    ['a full network', { provider: 'docker', network: 'full' as const }, { code: 'unsupported', field: 'egress' }],
    ['a residency', { residency: 'us' }, { code: 'unsupported', field: 'needs.residency' }],
    ['a GPU on the one asked for', { gpu: true, provider: 'oci' }, { code: 'unsupported', field: 'needs.gpu' }],
    ['a limit', { owner: 'alan', limits: { diskBytes: 1 } }, { code: 'invalid_request', field: 'limits.diskBytes' }],
  ])('%s', (_, wish, expected) => {
    expect(() => choose(wish)).toThrow(expect.objectContaining(expected) as Error);
  });
});

test('a policy says what is wrong with it', () => {
  const wrong = (value: unknown) => placementPolicy.safeParse(value).error?.issues[0]?.path.join('.');
  expect(wrong({ providers: { oci: { gpu: 'yes' } } })).toBe('providers.oci.gpu');
  expect(wrong({ rules: [{ name: 'x', providers: [] }] })).toBe('rules.0.providers');
  expect(wrong({ rules: [{ name: 'x', user: 'ada', providers: ['oci'] }] })).toBe('rules.0');
});
