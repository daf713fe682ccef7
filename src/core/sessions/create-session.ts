import type { CreateSessionRequest } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { Dependencies, Settings } from '../dependencies.ts';
import { checkBranchName, parseRepositoryUrl } from '../git-names.ts';
import { networkModeOf, requireAllowedPolicy } from '../egress/network-mode.ts';
import { enforceable } from '../enforceable-limits.ts';
import { chooseProvider } from '../placement/choose-provider.ts';
import { guestHome, type SandboxCapabilities, type SandboxLimits, type SandboxProvider } from '../ports/sandbox-provider.ts';
import type { SessionRecord, StoreReads } from '../ports/store.ts';
import { emptyWorkspacePath } from '../sandboxes/workspace.ts';
import { planIdle } from './update-session.ts';

/**
 * Checks a request whole before anything is made: the agent, limits, repository and branch, the
 * latter two with the remote itself. Throws with the field at fault.
 */
export async function planSession(
  deps: Pick<Dependencies, 'agents' | 'git' | 'providers' | 'settings' | 'clock' | 'store'>,
  request: CreateSessionRequest,
  owner: string,
  signal: AbortSignal,
): Promise<SessionRecord> {
  if (request.agentCommand === undefined) deps.agents.get(request.agent);
  if (request.team !== undefined) await requireMember(deps.store.read, request.team, owner);
  if (request.workBranch !== undefined) checkBranchName(request.workBranch, 'workBranch');
  if (request.branch !== undefined) checkBranchName(request.branch, 'branch');
  if (request.repository === undefined && (request.branch !== undefined || request.workBranch !== undefined)) {
    throw new BerthError('invalid_request', 'a branch needs a repository', { field: 'repository' });
  }

  requireAllowedPolicy(deps.settings.egress, request.egress ?? null, 'egress');

  const id = newId('session');
  const repository =
    request.repository === undefined
      ? null
      : parseRepositoryUrl(request.repository, { allowLocal: await mayNameLocal(deps, owner) });
  const { provider, placement } = chooseProvider(deps.providers, deps.settings.placement, {
    owner,
    teams: (await deps.store.read.teamMembers({ member: owner })).map(({ team }) => team),
    repositoryUrl: repository?.url ?? null,
    labels: request.labels ?? [],
    gpu: request.needs?.gpu ?? false,
    residency: request.needs?.residency ?? null,
    network: networkModeOf(deps.settings.egress, { egress: request.egress ?? null }),
    limits: askedLimits(request.limits),
    provider: request.provider ?? null,
  });
  const limits = planLimits(request.limits, deps.settings, provider.capabilities);
  const template = request.template ?? deps.settings.defaultTemplate;
  await checkTemplate(provider, template, signal);
  const checked = repository === null ? null : await deps.git.check(repository.url, request.branch ?? null, signal);
  const at = deps.clock.now().toISOString();
  return {
    id,
    owner,
    team: request.team ?? null,
    title: request.title ?? repository?.name ?? 'session',
    status: 'idle',
    statusReason: null,
    agent: request.agent,
    agentArgv: request.agentCommand ?? null,
    provider: provider.name,
    placement,
    template,
    sandboxId: null,
    hostId: null,
    forkedFrom: null,
    repositoryUrl: repository?.url ?? null,
    baseBranch: checked?.baseBranch ?? null,
    branch: repository === null ? null : (request.workBranch ?? `berth/${id}`),
    baseCommit: null,
    cwd: repository === null ? emptyWorkspacePath : `${guestHome}/${repository.name}`,
    limits,
    env: request.env ?? {},
    egress: request.egress ?? null,
    mcpServers: request.mcpServers ?? [],
    acpSessionId: null,
    modeId: request.mode ?? null,
    config: request.model === undefined ? {} : { model: request.model },
    author: request.author ?? null,
    permissions: request.permissions ?? deps.settings.permissionMode,
    permissionPolicy: request.permissionPolicy ?? null,
    permissionTimeoutMs:
      request.permissionTimeoutSeconds === undefined
        ? deps.settings.defaultPermissionTimeoutMs
        : request.permissionTimeoutSeconds * 1000,
    lastSeq: 0,
    logBytes: 0,
    logBytesAtTurn: 0,
    journalId: null,
    journalSeq: 0,
    deletingAt: null,
    forkAcpSessionId: null,
    budget: request.budget ?? null,
    idle: request.idle === undefined ? null : planIdle(deps, request.idle),
    lastUsedAt: at,
    archivedAt: null,
    createdAt: at,
    updatedAt: at,
  };
}

/** Before the session is there: its first turn would fail. */
async function checkTemplate(provider: SandboxProvider, template: string, signal: AbortSignal): Promise<void> {
  try {
    await provider.checkTemplate(template, { signal });
  } catch (cause) {
    if (!(cause instanceof BerthError) || cause.code !== 'not_found') throw cause;
    throw new BerthError('unknown_template', cause.message, { field: 'template', context: { provider: provider.name }, cause });
  }
}

async function requireMember(reads: Pick<StoreReads, 'teamMembers'>, team: string, user: string): Promise<void> {
  const role = (await reads.teamMembers({ team, member: user }))[0]?.role;
  if (role === undefined) throw new BerthError('not_found', `there is no team ${team} that you are in`, { field: 'team' });
  if (role === 'viewer') throw new BerthError('forbidden', `you are a viewer of ${team}`, { field: 'team' });
}

function askedLimits(asked: CreateSessionRequest['limits']): Partial<SandboxLimits> {
  return Object.fromEntries(Object.entries(asked ?? {}).filter(([, value]) => value !== undefined));
}

/** Whoever may read this machine's files by a session must own the machine. */
async function mayNameLocal({ settings, store }: Pick<Dependencies, 'settings' | 'store'>, user: string): Promise<boolean> {
  return settings.allowLocalRepositories && (await store.read.user(user))?.role === 'owner';
}

function planLimits(
  asked: CreateSessionRequest['limits'],
  settings: Settings,
  capabilities: SandboxCapabilities,
): SandboxLimits {
  const limits = enforceable(settings.defaultLimits, capabilities);
  for (const name of ['cpus', 'memoryBytes', 'pids', 'diskBytes'] as const) {
    const value = asked?.[name];
    if (value === undefined) continue;
    if (value > settings.maxLimits[name]) {
      throw new BerthError('invalid_request', `at most ${settings.maxLimits[name]} on this server`, {
        field: `limits.${name}`,
      });
    }
    limits[name] = value;
  }
  return limits;
}
