import { proxyEnv } from '../egress/proxy-env.ts';
import { newId } from '../../protocol/ids.ts';
import { gatewayPort } from '../../protocol/runner-api.ts';
import { enforceable } from '../enforceable-limits.ts';
import type { Dependencies } from '../dependencies.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { emptyWorkspacePath } from '../sandboxes/workspace.ts';

type MakeDependencies = Pick<
  Dependencies,
  'store' | 'providers' | 'git' | 'connectRunner' | 'runnerToken' | 'clock' | 'settings'
>;

/** Told by the provider's list, for people; that one is warm is what the store says. */
const warmLabels = { pool: 'warm' };
const removeTimeoutMs = 60_000;

/**
 * Makes one warm sandbox, with the objects of a repository where one is named, else with an empty workspace. Its record
 * is there first and says `creating`, so that a crash at any step leaves what recovery removes; only the last step lets
 * sessions claim it. Leaves nothing when it throws.
 */
export async function makeWarm(
  deps: MakeDependencies,
  repositoryUrl: string | null,
  signal: AbortSignal,
): Promise<void> {
  const { store, settings } = deps;
  const provider = deps.providers.first;
  const id = newId('sandbox');
  const at = deps.clock.now().toISOString();
  const record = {
    id,
    sessionId: null,
    hostId: settings.hostId,
    provider: provider.name,
    template: settings.defaultTemplate,
    status: 'creating',
    limits: enforceable(settings.defaultLimits, provider.capabilities),
    warm: null,
    createdAt: at,
    updatedAt: at,
  } as const;
  await store.transaction((tx) => tx.insertSandbox(record));
  try {
    const { template, limits } = record;
    const runnerToken = deps.runnerToken(id);
    await provider.create(
      { id, template, limits, network: 'none', labels: warmLabels, runnerToken, env: proxyEnv },
      { signal },
    );
    if (repositoryUrl !== null) await lendRepository(deps, record, repositoryUrl, signal);
    const runner = deps.connectRunner(record);
    let baseCommit: string | null = null;
    try {
      if (repositoryUrl === null) baseCommit = await prepareEmptyWorkspace(deps, runner, signal);
      await useOnce(runner, signal);
    } finally {
      runner.close();
    }
    await store.transaction((tx) =>
      tx.updateSandbox(id, {
        status: 'running',
        warm: { repositoryUrl, baseCommit },
        updatedAt: deps.clock.now().toISOString(),
      }),
    );
  } catch (cause) {
    await removeUnowned(deps, id);
    throw cause;
  }
}

async function prepareEmptyWorkspace(
  { git, settings }: MakeDependencies,
  runner: RunnerClient,
  signal: AbortSignal,
): Promise<string> {
  const request = { cwd: emptyWorkspacePath, branch: 'main', author: settings.author };
  return (await git.initialise(runner, request, signal)).baseCommit;
}

/** What every session does at its start: a runner that has done it has its code loaded, and does it in a fraction of the time. */
async function useOnce(runner: RunnerClient, signal: AbortSignal): Promise<void> {
  await runner.exec({ argv: ['true'] }, signal);
  const channel = await runner.openGatewayChannel(gatewayPort, signal);
  channel.destroy();
}

/** Brings the mirror up to date and shows its objects in the sandbox; repeated, it adds what is new. */
export async function lendRepository(
  deps: Pick<Dependencies, 'git' | 'providers'>,
  { id, provider }: Pick<SandboxRecord, 'id' | 'provider'>,
  url: string,
  signal: AbortSignal,
): Promise<void> {
  const mirror = await deps.git.updateMirror(url, () => {}, signal);
  await deps.providers.of(provider).shareObjects?.(id, mirror.objectsDir, { signal });
}

/**
 * Removes a sandbox that has no session; false when one has claimed it meanwhile. `destroying` comes first, so that
 * none can claim it while it goes and a restart goes on with it.
 */
export async function removeUnowned(
  deps: Pick<Dependencies, 'store' | 'providers' | 'clock'>,
  id: string,
): Promise<boolean> {
  const mine = await deps.store.transaction(async (tx) => {
    const sandbox = await tx.sandbox(id);
    if (sandbox === null || sandbox.sessionId !== null) return null;
    await tx.updateSandbox(id, { status: 'destroying', warm: null, updatedAt: deps.clock.now().toISOString() });
    return sandbox;
  });
  if (mine === null) return false;
  await deps.providers.of(mine.provider).destroy(id, { signal: AbortSignal.timeout(removeTimeoutMs) });
  await deps.store.transaction((tx) => tx.deleteSandbox(id));
  return true;
}
