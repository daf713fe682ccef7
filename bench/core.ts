import { noQuotas } from '../src/core/quotas/subjects.ts';
import { noPolicy } from '../src/core/placement/policy.ts';
import { createProviders } from '../src/core/providers.ts';
import { join } from 'node:path';
import { createCore, type Core } from '../src/core/create-core.ts';
import type { Dependencies, Settings } from '../src/core/dependencies.ts';
import { defaultLogLimits } from '../src/core/journal/flood-guard.ts';
import { defaultQueueSettings } from '../src/core/turns/queue-settings.ts';
import { defaultWebhookSettings } from '../src/core/webhooks/webhook-worker.ts';
import { createGateway } from '../src/gateway/gateway.ts';
import { createGit } from '../src/git/create-git.ts';
import { createAgentCatalog } from '../src/agents/catalog.ts';
import { systemClock } from '../src/main/system-clock.ts';
import { createStoreQueue } from '../src/queue/store-queue.ts';
import { createRunnerClient } from '../src/sandbox/runner-client/index.ts';
import { createSqliteStore } from '../src/store/sqlite.ts';
import { runnerToken, silent, soon, type BenchHost } from './host.ts';

export interface BenchCore {
  core: Core;
  deps: Dependencies;
  close(): Promise<void>;
}

/** The core of a server on the benchmark's host, wired as `main` does it, without HTTP, models and a forge. */
export async function openCore(host: BenchHost, settings: Partial<Settings>): Promise<BenchCore> {
  const { provider, dataDir } = host;
  const store = await createSqliteStore({ path: join(dataDir, 'berth.db'), logger: silent });
  const gateway = createGateway({ credentials: { find: async () => null }, placeholderSecret: 'bench', logger: silent });
  const deps: Dependencies = {
    store,
    queue: createStoreQueue({ store, clock: systemClock, logger: silent }),
    providers: createProviders([provider]),
    connectRunner: ({ id }) =>
      createRunnerClient({ dial: (port, options) => provider.dial(id, port, options), token: runnerToken }),
    runnerToken: () => runnerToken,
    gateway,
    git: createGit({
      dir: join(dataDir, 'storage', 'git'),
      env: process.env,
      allowLocal: true,
      credentials: async () => null,
      excludes: [],
      logger: silent,
    }),
    agents: createAgentCatalog(),
    installer: { ensure: async () => '', isInstalled: async () => true },
    webhookSender: { send: async () => ({ status: 204 }) },
    hostPressure: async () => null,
    clock: systemClock,
    logger: silent,
    settings: {
      hostId: 'hst_bench',
      slots: 4,
      quotas: noQuotas,
      placement: noPolicy,
      warm: { count: 0, preclone: [], mirrorConnected: false },
      defaultTemplate: host.template,
      defaultLimits: host.limits,
      maxLimits: host.limits,
      permissionMode: 'ask',
        permissionPolicy: { rules: [] },
      egress: { defaultPolicy: { presets: [], allow: [] }, allowFullNetwork: false },
      defaultPermissionTimeoutMs: 60_000,
      idle: { pauseMs: null, hibernateMs: null, archiveMs: null, hibernateAskingMs: null, lastStep: 'archive' },
      logLimits: defaultLogLimits,
      queue: defaultQueueSettings,
      serverBudget: {},
      webhooks: { ...defaultWebhookSettings, secret: `whsec_${Buffer.alloc(32).toString('base64')}` },
      taskOwner: 'owner',
      allowLocalRepositories: true,
      author: { name: 'Bench', email: 'bench@localhost' },
      ...settings,
    },
  };
  const core = createCore(deps);
  await core.start(soon());
  return {
    core,
    deps,
    async close() {
      await core.close();
      gateway.close();
      await store.close();
    },
  };
}
