import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createForge, type Delivery, type Forge, type ForgeOptions, type Webhook } from '../../../test/fixtures/forge/index.ts';
import { createCore, type Core } from '../../core/create-core.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { SecretBox } from '../../core/ports/secrets.ts';
import type { DeliveryRecord, RepositoryRecord, Store, TaskTrigger } from '../../core/ports/store.ts';
import type { TaskService } from '../../core/tasks/task-service.ts';
import { createWorld, type World } from '../../core/testing/doubles.ts';
import { createApp } from '../../server/app.ts';
import { givenToken } from '../../core/testing/accounts.ts';
import { createBrowserLogin, usedCodes } from '../../server/browser-login.ts';
import type { Router } from '../../server/context.ts';
import { githubSetupRoutes } from '../../server/routes/github-setup.ts';
import { githubRoutes, githubWebhookRoutes } from '../../server/routes/github.ts';
import { createPullRequestService } from '../../core/pulls/pull-request-service.ts';
import { pullRequestRoutes } from '../../server/routes/pull-requests.ts';
import { repositoryRoutes } from '../../server/routes/repositories.ts';
import { taskRoutes } from '../../server/routes/tasks.ts';
import { boxVault } from '../../store/secrets/box-vault.fixture.ts';
import { createSecretBox } from '../../store/secret-box.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createGithub, type Github } from '../index.ts';

/**
 * A server with a real store and real GitHub code, before a stand-in GitHub. `requested` is what
 * reached the tasks, unless a test brings a task service of its own.
 */
export interface Site {
  forge: Forge;
  store: Store;
  secrets: SecretBox;
  world: World;
  core: TestedCore;
  github: Github;
  app: Router;
  token: string;
  requested: { repository: RepositoryRecord; trigger: TaskTrigger }[];
  /** The App of the forge, taken as one that was registered by hand. */
  register(): Promise<void>;
  /** Sends as GitHub would, and waits until it was worked on. */
  deliver(webhook: Webhook | Promise<Webhook>, options?: { deliveryId?: string }): Promise<DeliveryRecord>;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

/** Where a test does not say who interrupts or deletes, its user does. */
type TestedCore = Omit<Core, 'sessions'> & {
  sessions: Omit<Core['sessions'], 'interrupt' | 'delete'> & {
    interrupt(id: string, by?: string): ReturnType<Core['sessions']['interrupt']>;
    delete(id: string, by?: string): Promise<void>;
  };
};

export const publicUrl = 'http://127.0.0.1:7878';
export const signal = AbortSignal.timeout(10 * 60_000);
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };

export interface SiteOptions {
  forge?: ForgeOptions;
  accounts?: readonly string[];
  tasks?: (site: { core: Core; github: Github; world: World }) => TaskService;
  world?: (world: World) => void;
}

export async function createSite(options: SiteOptions = {}): Promise<Site> {
  const dir = await mkdtemp(join(tmpdir(), 'berth-github-'));
  const forge = await createForge(options.forge);
  const store = await createSqliteStore({ path: join(dir, 'berth.db') });
  const secrets = await createSecretBox(join(dir, 'key'));
  const world = createWorld(store);
  options.world?.(world);
  const core = createCore(world.deps);
  await core.start(signal);
  const github = createGithub({
    store,
    secrets: boxVault(secrets),
    links: secrets,
    clock: world.deps.clock,
    logger: quiet,
    publicUrl: () => publicUrl,
    apiUrl: forge.apiUrl,
    pacing: false,
    ...(options.accounts === undefined ? {} : { accounts: options.accounts }),
  });
  const requested: Site['requested'] = [];
  const tasks = options.tasks?.({ core, github, world }) ?? recordingTasks(requested);
  await tasks.start();
  github.start(tasks);
  const app = createApp(
    {
      core,
      store,
      agents: world.deps.agents,
      installer: world.deps.installer,
      logger: quiet,
      providerName: 'memory',
      version: 'test',
      report: async () => [],
      browser: { login: createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) }), publicUrl: () => null },
    },
    {
      public: [
        githubWebhookRoutes(github.forgeApp),
        githubSetupRoutes({ forgeApp: github.forgeApp, logger: quiet, isSecure: () => false }),
      ],
      authenticated: [
        githubRoutes(github.forgeApp),
        repositoryRoutes({ store, agents: world.deps.agents, forgeApp: github.forgeApp }),
        taskRoutes({ store, tasks, forge: github.forge }),
        pullRequestRoutes(createPullRequestService({ deps: world.deps, forge: github.forge, core })),
      ],
    },
  );
  const token = await givenToken(store, 'ada');

  const site: Site = {
    forge,
    store,
    secrets,
    world,
    core: {
      ...core,
      sessions: {
        ...core.sessions,
        interrupt: (id, by = 'ada') => core.sessions.interrupt(id, by),
        delete: (id, by = 'ada') => core.sessions.delete(id, by),
      },
    },
    github,
    app,
    token,
    requested,
    async register() {
      await github.forgeApp.register(
        { appId: forge.app.id, privateKey: forge.app.privateKey, webhookSecret: forge.webhookSecret },
        'owner',
        signal,
      );
    },
    async deliver(webhook, { deliveryId } = {}) {
      const { event, payload } = await webhook;
      const delivery = await post(app, forge, event, payload, deliveryId);
      await github.settle();
      return (await store.read.delivery(delivery.deliveryId))!;
    },
    call: async (method, path, body, headers = {}) =>
      app.request(path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    async close() {
      await github.close();
      await tasks.close();
      await core.close();
      await store.close();
      await forge.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return site;
}

/** The forge signs and sends over a real socket; here the request goes straight into the app. */
async function post(
  app: Router,
  forge: Forge,
  event: string,
  payload: Webhook['payload'],
  deliveryId: string | undefined,
): Promise<Delivery> {
  const { serve } = await import('@hono/node-server');
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  try {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    return await forge.deliver(event, payload, {
      to: `http://127.0.0.1:${port}/webhooks/github`,
      ...(deliveryId === undefined ? {} : { deliveryId }),
    });
  } finally {
    server.close();
  }
}

function recordingTasks(requested: Site['requested']): TaskService {
  return {
    async request(repository, trigger) {
      requested.push({ repository, trigger });
      return { id: 'tsk_recorded' } as Awaited<ReturnType<TaskService['request']>>;
    },
    start: async () => {},
    settle: async () => {},
    close: async () => {},
  };
}
