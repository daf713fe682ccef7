import { BerthError } from '../../protocol/errors.ts';
import type { NetworkMode, SandboxLimits, SandboxProvider } from '../ports/sandbox-provider.ts';
import type { Placement } from '../ports/store.ts';
import type { Providers } from '../providers.ts';
import type { PlacementPolicy, PlacementRule } from './policy.ts';

const mebibyte = 1024 ** 2;

/** What of a session decides where it goes. */
export interface Wish {
  owner: string;
  /** That the owner is a member of. */
  teams: readonly string[];
  repositoryUrl: string | null;
  labels: readonly string[];
  gpu: boolean;
  residency: string | null;
  network: NetworkMode;
  /** Those that were asked for; others are the server's own and cut to what a provider enforces. */
  limits: Partial<SandboxLimits>;
  /** Asked for by name. */
  provider: string | null;
}

/**
 * The provider of a new session, with those that may take its place and the reason. A need is never passed over: where
 * no provider meets it the session is refused. Throws `invalid_request` naming the field, `unsupported` for a need.
 */
export function chooseProvider(
  providers: Providers,
  policy: PlacementPolicy,
  wish: Wish,
): { provider: SandboxProvider; placement: Placement } {
  if (wish.provider !== null && !providers.has(wish.provider)) {
    const message = `there is no provider ${wish.provider}; this server has ${providers.names.join(', ')}`;
    throw new BerthError('invalid_request', message, { field: 'provider' });
  }
  const rule = policy.rules.find((each) => holds(each, wish)) ?? null;
  const preferred = rule?.providers ?? policy.default ?? null;
  const why = rule === null ? (preferred === null ? 'the first provider of this server' : 'the default of the policy') : `the rule "${rule.name}"`;
  // Without a list nobody is kept from any provider by name.
  if (wish.provider !== null && preferred !== null && !preferred.includes(wish.provider)) {
    const message = `${why} allows ${preferred.join(', ')}, not ${wish.provider}`;
    throw new BerthError('invalid_request', message, { field: 'provider' });
  }
  const candidates = wish.provider !== null ? [wish.provider] : (preferred ?? [providers.first.name]);
  const refusals: BerthError[] = [];
  const able = candidates.filter((name) => {
    const refusal = refusalOf(providers.of(name), policy, wish);
    if (refusal !== null) refusals.push(refusal);
    return refusal === null;
  });
  const [first, ...others] = able;
  if (first === undefined) throw refusals[0]!;
  const asked = wish.provider === null ? why : 'asked for by name';
  const passed = refusals.map(({ message }) => message);
  return {
    provider: providers.of(first),
    placement: { others, reason: [asked, ...passed].join('; ') },
  };
}

function holds(rule: PlacementRule, wish: Wish): boolean {
  const { users, teams, repositories, labels, gpu, residency, memoryMibAtLeast } = rule;
  if (users !== undefined && !users.includes(wish.owner)) return false;
  if (teams !== undefined && !teams.some((team) => wish.teams.includes(team))) return false;
  if (repositories !== undefined && !repositories.some((pattern) => isLike(wish.repositoryUrl, pattern))) return false;
  if (labels !== undefined && !labels.some((label) => wish.labels.includes(label))) return false;
  if (gpu !== undefined && gpu !== wish.gpu) return false;
  if (residency !== undefined && (wish.residency === null || !residency.includes(wish.residency))) return false;
  return memoryMibAtLeast === undefined || (wish.limits.memoryBytes ?? 0) >= memoryMibAtLeast * mebibyte;
}

/** `null`: it meets every need. */
function refusalOf({ name, capabilities }: SandboxProvider, policy: PlacementPolicy, wish: Wish): BerthError | null {
  const offer = policy.providers[name];
  const lacks = (what: string, field: string) =>
    new BerthError('unsupported', `the provider ${name} ${what}`, { field, context: { provider: name } });
  if (wish.gpu && offer?.gpu !== true) return lacks('has no GPU', 'needs.gpu');
  if (wish.residency !== null && offer?.residency.includes(wish.residency) !== true) {
    return lacks(`keeps no data in "${wish.residency}"`, 'needs.residency');
  }
  if (!capabilities.network.includes(wish.network)) return lacks('has no full network on this host (see "berth doctor")', 'egress');
  if (offer?.memoryMib !== undefined && (wish.limits.memoryBytes ?? 0) > offer.memoryMib * mebibyte) {
    return lacks(`has at most ${offer.memoryMib} MiB for a sandbox`, 'limits.memoryBytes');
  }
  for (const limit of ['cpus', 'memoryBytes', 'pids', 'diskBytes'] as const) {
    if ((wish.limits[limit] ?? 0) === 0 || capabilities.limits.includes(limit)) continue;
    return new BerthError('invalid_request', `the provider ${name} cannot enforce ${limit}`, { field: `limits.${limit}` });
  }
  return null;
}

/** Of a repository's address what is behind the scheme, without `.git`; hosts and paths of forges know no case. */
function isLike(repositoryUrl: string | null, pattern: string): boolean {
  if (repositoryUrl === null) return false;
  const name = repositoryUrl.replace(/^[a-z]+:\/\//, '').replace(/\.git$/, '');
  const parts = pattern.split('*').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(name);
}
