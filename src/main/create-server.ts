import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createAgentCatalog } from '../agents/catalog.ts';
import { createAgentInstaller } from '../agents/installer.ts';
import { agentSettingsPatterns } from '../agents/settings-paths.ts';
import { createSessionGit } from '../core/git/session-git.ts';
import { createSecretService } from '../core/secrets/secret-service.ts';
import { createEgressService } from '../core/egress/egress-service.ts';
import { createCore } from '../core/create-core.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { Queue } from '../core/ports/queue.ts';
import type { Store } from '../core/ports/store.ts';
import type { Dependencies } from '../core/dependencies.ts';
import { defaultQueueSettings } from '../core/turns/queue-settings.ts';
import { defaultWebhookSettings } from '../core/webhooks/webhook-worker.ts';
import { createLookup } from '../gateway/names/lookup.ts';
import { createPublicDial } from '../gateway/egress/public-dial.ts';
import { createKeyService } from '../core/keys/key-service.ts';
import { createModelCredentials } from '../gateway/credentials/model-credentials.ts';
import { createGateway } from '../gateway/gateway.ts';
import { createBudgetGate } from '../core/budgets/budget-gate.ts';
import { createUsageMeter } from '../core/usage/usage-meter.ts';
import { hashToken } from '../core/users/principal.ts';
import { createSignInService } from '../core/users/sign-in/sign-in-service.ts';
import { createTemplateService } from '../core/templates/template-service.ts';
import { createPullRequestService } from '../core/pulls/pull-request-service.ts';
import { createTaskService } from '../core/tasks/task-service.ts';
import { createGit } from '../git/create-git.ts';
import { createGithub } from '../github/index.ts';
import { BerthError } from '../protocol/errors.ts';
import { modelApi } from '../protocol/keys.ts';
import { createRedisQueue } from '../queue/redis-queue.ts';
import { joinHosts } from '../core/hosts/membership.ts';
import { createForwarding } from '../server/forwarding/index.ts';
import { createStoreQueue } from '../queue/store-queue.ts';
import { hostPressure } from '../sandbox/host/pressure.ts';
import { installationId } from '../sandbox/instance-lock.ts';
import { createRunnerClient } from '../sandbox/runner-client/index.ts';
import { storageDirectory } from '../sandbox/storage/storage.ts';
import { createJobFiles } from '../sandbox/templates/job-files.ts';
import { createWorkshop } from '../sandbox/templates/workshop.ts';
import { createApp } from '../server/app.ts';
import { createRateLimiter } from '../server/limits/rate-limiter.ts';
import { createRequestLimits, noLimits, type RequestLimits } from '../server/limits/request-limits.ts';
import { createBrowserLogin, usedCodes } from '../server/browser-login.ts';
import { createPreviewApp } from '../server/previews/preview-app.ts';
import { createPreviewLinks } from '../server/previews/preview-links.ts';
import { signInUrl } from '../server/routes/login.ts';
import { createSecretBox } from '../store/secret-box.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { version } from '../version.ts';
import { createWebhookSender } from '../webhooks/sender.ts';
import type { Config } from './config.ts';
import { serverExtensions } from './extensions.ts';
import { findings } from './findings.ts';
import { giveMemoryBack } from './give-memory-back.ts';
import { listen } from './http-server.ts';
import { checkKey } from './key-check.ts';
import { deriveKeys } from './keys.ts';
import { createLogger } from './log.ts';
import { ownerToken } from './owner-token.ts';
import { readPrices } from './prices.ts';
import { openProviders } from './open-providers.ts';
import { readPermissions } from './read-permissions.ts';
import { openIdentityProviders } from './identity-providers.ts';
import { readSignIn } from './read-sign-in.ts';
import { openVault } from './vault.ts';
import { systemClock } from './system-clock.ts';
import { readPlacement } from './read-placement.ts';
import { readWebFiles } from './web-files.ts';

export interface RunningServer {
  url: string;
  /** The owner's token. */
  token: string;
  /** Signs one browser in as the owner, once. */
  signInUrl: string;
  dataDir: string;
  /** Ends the server; sandboxes and their agents go on. */
  close(): Promise<void>;
}

const startTimeoutMs = 5 * 60_000;
/** A host that did not renew for this long is away. Restarts of a database are shorter. */
const leaseMs = 15_000;
const defaultPermissionTimeoutMs = 24 * 60 * 60_000;

/** Wires the drivers, recovers what the last process left, and listens. `say` hears what takes long. */
export async function createServer(config: Config, say: (line: string) => void): Promise<RunningServer> {
  const { dataDir } = config;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // A driver may let another user pass through the data directory, who has no business with mirrors and disks.
  await mkdir(join(dataDir, storageDirectory), { recursive: true });
  await chmod(join(dataDir, storageDirectory), 0o700);
  const logger = createLogger(config);
  const signal = AbortSignal.timeout(startTimeoutMs);
  const onClose: (() => Promise<void> | void)[] = [];
  const close = async () => {
    for (const step of onClose.toReversed()) await step();
    onClose.length = 0;
  };

  try {
    const providers = await openProviders(config, logger, (provider) => onClose.push(() => provider.close()), say, signal);

    const keys = await deriveKeys(config.keyFile);
    const bareStore = await openStore(config, logger);
    onClose.push(() => bareStore.close());
    const isShared = config.databaseUrl !== null;
    if (isShared) await checkKey(bareStore, keys.keyCheck, config.keyFile);
    const hostId = `hst_${await installationId(dataDir)}`;
    const membership = await joinHosts({
      store: bareStore,
      clock: systemClock,
      logger,
      host: { id: hostId, address: config.advertiseUrl, slots: config.slots, leaseMs: isShared ? leaseMs : null },
    });
    onClose.push(() => membership.close());
    const { store } = membership;
    // Known once the server listens, and asked for only then.
    let publicUrl = config.publicUrl;
    const secretBox = await createSecretBox(config.keyFile);
    const vault = await openVault(config, store, secretBox, systemClock);
    const signInConfig = await readSignIn(config.signInFile);
    const github = createGithub({
      store,
      secrets: vault,
      links: secretBox,
      clock: systemClock,
      logger,
      publicUrl: () => publicUrl ?? `http://${config.host}:${config.port}`,
      apiUrl: config.github.apiUrl,
      ...(config.github.htmlUrl === null ? {} : { webUrl: config.github.htmlUrl }),
      accounts: config.github.accounts,
      pacing: config.github.pacing,
      readsMembers: signInConfig.settings.github?.allow.some((rule) => 'organization' in rule) ?? false,
    });
    onClose.push(() => github.close());
    const egress = createEgressService({ 
      store,
      clock: systemClock,
      logger,
      settings: config.egress,
      networks: { requireFull: (session) => core.networks.requireFull(session), apply: (id) => core.networks.apply(id) },
    });
    onClose.push(() => egress.close());
    const secrets = createSecretService({ store, secrets: vault, clock: systemClock, logger });
    onClose.push(() => secrets.close());
    const meter = createUsageMeter({
      store,
      clock: systemClock,
      logger,
      prices: await readPrices(config.pricesFile),
      gate: createBudgetGate({ store, clock: systemClock, serverBudget: config.budget }),
    });
    onClose.push(() => meter.close());
    const git = createGit({
      dir: join(dataDir, storageDirectory, 'git'),
      env: config.environment,
      allowLocal: config.allowLocalRepositories,
      credentials: github.credentialsFor,
      excludes: agentSettingsPatterns,
      logger,
    });
    const environment = config.upstreams;
    const credentials = createModelCredentials({ store, vault, environment, clock: systemClock, logger });
    onClose.push(() => credentials.close());
    const gateway = createGateway({
      credentials,
      meter,
      placeholderSecret: keys.placeholderSecret,
      egress: { control: egress, secrets, dial: createPublicDial({ allowLoopback: config.egressToLoopback }) },
      names: { control: egress, lookup: createLookup(config.nameServers), allowLoopback: config.egressToLoopback },
      git: createSessionGit({
        store,
        egress,
        git,
        readCredential: (url, signal) => github.credentialsFor(url, signal, 'read'),
        clock: systemClock,
        logger,
      }),
      logger,
    });
    onClose.push(() => gateway.close());
    const agents = createAgentCatalog();
    const installer = createAgentInstaller({ dir: config.agentsDir, env: config.environment, logger });
    const deps: Dependencies = {
      store,
      queue: openQueue(config, store, logger),
      providers,
      connectRunner: ({ id, provider }) =>
        createRunnerClient({
          dial: (port, options) => providers.of(provider).dial(id, port, options),
          token: keys.runnerToken(id),
        }),
      runnerToken: (id) => keys.runnerToken(id),
      gateway,
      git,
      agents,
      installer,
      webhookSender: createWebhookSender({ allowLoopback: config.webhooksToLoopback, userAgent: `berth/${version}` }),
      hostPressure: () => hostPressure(dataDir, config.sandboxLimits.memoryBytes),
      clock: systemClock,
      logger,
      settings: {
        hostId,
        slots: config.slots,
        warm: config.warm,
        placement: await readPlacement(config.placementFile, providers.names),
        defaultTemplate: 'default',
        defaultLimits: config.sandboxLimits,
        maxLimits: config.maxSandboxLimits,
        egress: config.egress,
        defaultPermissionTimeoutMs,
        permissionMode: config.permissionMode,
        permissionPolicy: await readPermissions(config.permissionsFile),
        idle: config.idle,
        logLimits: config.logLimits,
        serverBudget: config.budget,
        quotas: config.quotas,
        queue: { ...defaultQueueSettings, userPriorities: config.userPriorities },
        webhooks: { ...defaultWebhookSettings, secret: keys.webhookSecret },
        taskOwner: config.taskOwner,
        allowLocalRepositories: config.allowLocalRepositories,
        author: { name: 'Berth', email: 'berth@localhost' },
      },
    };
    const templatesDir = join(dataDir, 'templates');
    const templates = createTemplateService({
      workshop: createWorkshop({ directory: templatesDir, environment: config.environment, now: () => systemClock.now() }),
      jobFiles: createJobFiles(join(templatesDir, '.jobs'), () => systemClock.now()),
      store,
      providers,
      clock: systemClock,
      logger,
      allowLocal: config.allowLocalRepositories,
    });
    onClose.push(() => templates.close());
    const core = createCore(deps);
    onClose.push(() => core.close());
    const tasks = createTaskService({ deps, forge: github.forge, core });
    onClose.push(() => tasks.close());
    membership.onReturn(() => core.rejoin());
    const { forge, forgeApp } = github;
    const forwarding = createForwarding({
      reads: store.read,
      hostId,
      secret: keys.forwardingSecret,
      now: () => systemClock.now(),
    });
    let previewUrl = config.preview?.url ?? null;
    const previews =
      config.preview === null
        ? null
        : {
            links: createPreviewLinks({ secret: keys.previewSecret, now: () => systemClock.now() }),
            settings: { domain: config.preview.domain, baseUrl: () => previewUrl ?? '' },
          };
    const login = createBrowserLogin({
      secret: keys.browserLoginSecret,
      now: () => systemClock.now(),
      useUp: usedCodes(store),
    });
    const browser = { login, publicUrl: () => config.publicUrl };
    const signIn = createSignInService({
      store,
      box: secretBox,
      clock: systemClock,
      logger,
      accounts: core.accounts,
      providers: await openIdentityProviders(signInConfig, github.oauth, systemClock),
    });
    const limits = await openLimits(config, logger, (step) => onClose.push(step));
    const environmentApis = modelApi.options.filter((api) => environment[api] !== undefined);
    const keyService = createKeyService({ store, vault, clock: systemClock, environmentApis });
    const app = createApp(
      {
        core,
        store,
        agents,
        installer,
        logger,
        providerName: providers.first.name,
        version,
        report: () => findings(config),
        usableApis: (principal) => keyService.usableApis(principal),
        ...(isShared ? { forwarding } : {}),
        limits,
        browser,
        ...(previews === null ? {} : { previews }),
      },
      serverExtensions({
        store,
        keys: keyService,
        agents,
        logger,
        forge,
        forgeApp,
        tasks,
        pulls: createPullRequestService({ deps, forge, core }),
        egress,
        secrets,
        templates,
        signIn,
        browser,
        webFiles: await readWebFiles(),
        webhookSecret: keys.webhookSecret,
        isSecure: () => publicUrl?.startsWith('https:') ?? false,
      }),
    );
    const token = await ownerToken(store, dataDir, systemClock.now());
    if ((await store.read.user(config.taskOwner)) === null) {
      const message = `BERTH_TASK_OWNER: there is no user ${config.taskOwner}`;
      throw new BerthError('invalid_request', message, { field: 'BERTH_TASK_OWNER' });
    }
    await core.start(signal);
    await templates.recover();
    const http = await listen(app, config.host, config.port);
    onClose.push(() => http.close());
    publicUrl ??= http.url;
    if (config.preview !== null && previews !== null) {
      const previewApp = createPreviewApp({ core, reads: store.read, hostId, ...previews, logger });
      const listener = await listen(previewApp, config.host, config.preview.port);
      onClose.push(() => listener.close());
      previewUrl ??= listener.url;
    }
    await tasks.start();
    github.start(tasks);
    onClose.push(giveMemoryBack());
    logger.info({ url: http.url, slots: config.slots, dataDir }, 'server is up');
    const { code } = login.createCode(hashToken(token));
    return { url: http.url, token, signInUrl: signInUrl(publicUrl, code), dataDir, close };
  } catch (error) {
    logger.error({ err: error }, 'server could not start');
    await close();
    throw error;
  }
}

/** The embedded store, or the database that is named. */
async function openStore({ databaseUrl, dataDir }: Config, logger: Logger): Promise<Store> {
  if (databaseUrl === null) return createSqliteStore({ path: join(dataDir, 'berth.db'), logger });
  const { createPostgresStore } = await import('../store/postgres.ts');
  return createPostgresStore({ url: databaseUrl, logger });
}

/** Announcements through the store, or the broker that is named. */
function openQueue({ redisUrl }: Config, store: Store, logger: Logger): Queue {
  if (redisUrl === null) return createStoreQueue({ store, clock: systemClock, logger });
  return createRedisQueue({ url: redisUrl, clock: systemClock, logger });
}

async function openLimits(config: Config, logger: Logger, atEnd: (step: () => void) => void): Promise<RequestLimits> {
  if (config.rateLimits === null) return noLimits(config.isTrustedProxy);
  const limiter = await createRateLimiter({ limits: config.rateLimits, redisUrl: config.redisUrl, logger });
  atEnd(() => limiter.close());
  return createRequestLimits(limiter, config.isTrustedProxy);
}
