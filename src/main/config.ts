import { Resolver } from 'node:dns';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { WarmSettings } from '../core/pool/warm-plan.ts';
import { parseBudgetLimits, type BudgetLimits, type UserBudget } from '../protocol/budget.ts';
import { priority, type Priority } from '../protocol/api.ts';
import { parseEgressPolicy, type EgressPolicy } from '../protocol/egress.ts';
import type { EgressSettings } from '../core/egress/network-mode.ts';
import { permissionMode } from '../protocol/permission-policy.ts';
import { parseQuota, type Quota } from '../protocol/quota.ts';
import { handle } from '../protocol/users-api.ts';
import { parseRepositoryUrl } from '../core/git-names.ts';
import { asBerthError, BerthError } from '../protocol/errors.ts';
import { trustedProxies, type IsTrustedProxy } from '../server/limits/client-address.ts';
import { parseRateLimits, type RateLimits } from '../server/limits/rate-limits.ts';
import { providerNames } from '../sandbox/registry.ts';

const gibibyte = 1024 ** 3;

const positive = z.coerce.number().positive();
const minutes = (value: number) => z.coerce.number().min(0).default(value);
const toMs = (value: number) => (value === 0 ? null : value * 60_000);
const wholePositive = z.coerce.number().int().positive();

/** The environment, by name. Every setting has a default that works on one machine. */
const environment = z.object({
  BERTH_DATA_DIR: z.string().startsWith('/').default('/var/lib/berth'),
  /** Where agents are installed; may be shared by installations. Default below the data directory. */
  BERTH_AGENTS_DIR: z.string().startsWith('/').optional(),
  /** Address to listen on. Anything but loopback should stand behind TLS. */
  BERTH_HOST: z.string().default('127.0.0.1'),
  BERTH_PORT: z.coerce.number().int().min(0).max(65_535).default(7878),
  /** Where GitHub and browsers reach the server; for webhooks and links. */
  BERTH_PUBLIC_URL: z.url().optional(),
  /** Port of the previews' own listener; unset: no previews. */
  BERTH_PREVIEW_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  /** Previews get hosts of their own below it, `<port>-<session>.<domain>`: `localhost`, or a domain whose names all lead here. */
  BERTH_PREVIEW_DOMAIN: z.string().toLowerCase().regex(/^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/, 'a domain').optional(),
  /** Where browsers reach the previews' listener; default by its port. */
  BERTH_PREVIEW_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** A PostgreSQL database in place of the SQLite file: `postgres://user:password@host/name`. */
  BERTH_DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'a postgres:// URL').optional(),
  /** Redis carries what servers on one database tell each other: `redis://:password@host:6379/0`. */
  BERTH_REDIS_URL: z.string().regex(/^rediss?:\/\//, 'a redis:// or rediss:// URL').optional(),
  /** Where the other servers on the database reach this one. */
  BERTH_ADVERTISE_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** The installation's key, the same for all servers on one database. Default `key` in the data directory. */
  BERTH_KEY_FILE: z.string().startsWith('/').optional(),
  /** The providers of this server, with commas; the first is for sessions that nothing places elsewhere. */
  BERTH_PROVIDERS: z.string().default('oci').transform(parseProviders),
  /** A JSON file that says which sessions go to which provider; see docs/guides/providers.md. */
  BERTH_PLACEMENT: z.string().startsWith('/').optional(),
  /** The socket of Docker or Podman, for the provider `docker`. */
  BERTH_DOCKER_HOST: z.string().regex(/^unix:\/\/\//, 'unix:///path: the engine must run on this machine').optional(),
  /** A runtime of that engine, as `runsc` or `kata`; default the engine's own. */
  BERTH_DOCKER_RUNTIME: z.string().regex(/^[\w.-]+$/, 'the name of a runtime').optional(),
  /** Images of that engine by template name: `node=node:24,go=golang:1.25`. */
  BERTH_DOCKER_IMAGES: z.string().default('').transform(parseImages),
  /** What each disk of a machine of the provider `firecracker` may have of the host's; default no bound. */
  BERTH_FIRECRACKER_DISK_MIB_PER_SECOND: wholePositive.optional(),
  BERTH_FIRECRACKER_DISK_OPERATIONS_PER_SECOND: wholePositive.optional(),
  /** OCI runtime: `runc`, `crun` or `runsc`; default what suits the host. */
  BERTH_RUNTIME: z.enum(['runc', 'crun', 'runsc']).optional(),
  BERTH_SLOTS: wholePositive.optional(),
  /** Sandboxes kept running for sessions to come; 0: none. Default by what slots and memory allow. */
  BERTH_WARM: z.coerce.number().int().min(0).max(100).optional(),
  /** Repositories whose objects are kept here and in a warm sandbox each, with commas; `connected`: those that GitHub is connected to, kept here only. */
  BERTH_PRECLONE: z.string().default(''),
  BERTH_SANDBOX_CPUS: positive.optional(),
  BERTH_SANDBOX_MEMORY_MIB: wholePositive.optional(),
  BERTH_SANDBOX_DISK_GIB: positive.optional(),
  /** What a sandbox may write into its session's log in one turn, and in all: then what its agent says is left out. */
  BERTH_LOG_TURN_MIB: wholePositive.default(128),
  BERTH_LOG_SESSION_MIB: wholePositive.default(1024),
  /** Minutes until an unused session is paused (memory kept), hibernated (memory on disk), archived (disk kept); 0: never. */
  BERTH_IDLE_PAUSE_MINUTES: minutes(2),
  BERTH_IDLE_HIBERNATE_MINUTES: minutes(15),
  BERTH_IDLE_ARCHIVE_MINUTES: minutes(14 * 24 * 60),
  /** What is done then: `destroy` deletes the session, its disk and its log. */
  BERTH_IDLE_LAST_STEP: z.enum(['archive', 'destroy']).default('archive'),
  /** Minutes until a session that waits for an answer is hibernated, its question still open; 0: never. */
  BERTH_ASKING_HIBERNATE_MINUTES: minutes(30),
  /** Default priorities of users: `ada=premium,ci=background`. */
  BERTH_PRIORITIES: z.string().default('').transform(parsePriorities),
  /** Calls in a minute, `signin=20,prompts=120` and so on, or `off`; see `docs/guides/users.md`. */
  BERTH_RATE_LIMITS: z.string().default('').transform(readRateLimits),
  /** Proxies in front of this server, whose `x-forwarded-for` counts: addresses and networks, with commas. */
  BERTH_TRUSTED_PROXIES: z.string().default('').transform(readTrustedProxies),
  /** A JSON file that says by which other services people may sign in, and who; see `docs/guides/users.md`. */
  BERTH_SIGN_IN: z.string().startsWith('/').optional(),
  /** The user whose the sessions are that GitHub asks for. */
  BERTH_TASK_OWNER: handle.default('owner'),
  /** Where sandboxes may connect to unless a session says otherwise: `none`, or of `packages`, `git`, `open`, `full` and hosts. */
  BERTH_EGRESS: z.string().default('packages,git').transform(readEgress),
  /** `true` lets sessions have a network of their own beside the gateway: the preset `full`; see docs/guides/network.md. */
  BERTH_ALLOW_FULL_NETWORK: z.enum(['true', 'false']).default('false'),
  /** The network namespace, a path, by which those networks go out. Default the one that Berth runs in. */
  BERTH_FULL_NETWORK_NAMESPACE: z.string().startsWith('/').optional(),
  /** Name servers for the names of those networks, with commas: `192.0.2.53,192.0.2.54:5353`. Default those of the machine. */
  BERTH_FULL_NETWORK_DNS: z.string().optional().transform(readNameServers),
  /** Who answers what agents ask in sessions that do not say: `policy`, `ask` (a person) or `allow`. */
  BERTH_PERMISSION_MODE: permissionMode.default('policy'),
  /** A JSON file with the rules that hold in every session, in place of Berth's own; see `docs/guides/permissions.md`. */
  BERTH_PERMISSIONS: z.string().startsWith('/').optional(),
  /** `true` lets sandboxes reach this machine's loopback: for tests and development. */
  BERTH_EGRESS_TO_LOOPBACK: z.enum(['true', 'false']).default('false'),
  /** `true` lets webhooks reach this machine: for tests and development. */
  BERTH_WEBHOOKS_TO_LOOPBACK: z.enum(['true', 'false']).default('false'),
  BERTH_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** `stderr`, or a file's path. */
  BERTH_LOG: z.string().optional(),
  /** `true` lets sessions name `file://` repositories of this machine. */
  BERTH_LOCAL_REPOSITORIES: z.enum(['true', 'false']).default('true'),
  /** A JSON file with what models cost; see `docs/guides/models-and-budgets.md`. */
  BERTH_PRICES: z.string().startsWith('/').optional(),
  /** Limits of every session, user and user's day that has no others: `usd=5,tokens=2m,turns=20,minutes=90`. */
  BERTH_BUDGET_SESSION: z.string().optional().transform(readBudget),
  BERTH_BUDGET_USER: z.string().optional().transform(readBudget),
  BERTH_BUDGET_DAY: z.string().optional().transform(readBudget),
  /** What users and teams may have that have no quota of their own: `slots=3,sessions=20,disk=200g,priority=normal`. */
  BERTH_QUOTA_USER: z.string().default('').transform(readQuota),
  BERTH_QUOTA_TEAM: z.string().default('').transform(readQuota),
  /** A program that wraps data keys, for a key management service; see `docs/guides/models-and-budgets.md`. */
  BERTH_KMS_COMMAND: z.string().startsWith('/').optional(),
  /** Files with keys that wrap data keys, with commas: the first wraps, all unwrap. Default: a key from the installation's. */
  BERTH_KMS_KEY_FILES: z.string().regex(/^\/[^,]*(,\/[^,]*)*$/, 'absolute paths, with commas').optional(),
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_AUTH_TOKEN: z.string().min(1).optional(),
  ANTHROPIC_BASE_URL: z.url().default('https://api.anthropic.com'),
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_BASE_URL: z.url().default('https://api.openai.com/v1'),
  GEMINI_API_KEY: z.string().min(1).optional(),
  GOOGLE_GEMINI_BASE_URL: z.url().default('https://generativelanguage.googleapis.com'),
  BERTH_GITHUB_API_URL: z.url().default('https://api.github.com'),
  /** Owners whose repositories may be worked on, with commas; default wherever the App is installed. */
  BERTH_GITHUB_ACCOUNTS: z.string().optional(),
  /** Pages of an Enterprise Server; default from the API's address. */
  BERTH_GITHUB_URL: z.url().optional(),
  /** `off`: without the pause between writes that GitHub asks for. For stand-ins. */
  BERTH_GITHUB_PACING: z.enum(['on', 'off']).default('on'),
});

export type Config = ReturnType<typeof readConfig>;

/** Reads the settings. Throws `invalid_request` naming the variable at fault. */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  // An empty variable is an unset one: `FOO= berth up` is how people clear a setting.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const name = issue?.path.join('.') ?? 'environment';
    throw new BerthError('invalid_request', `${name}: ${issue?.message ?? 'is not valid'}`, { field: name });
  }
  const e = parsed.data;
  const memoryBytes = (e.BERTH_SANDBOX_MEMORY_MIB ?? defaultMemoryMib()) * 1024 ** 2;
  const slots = e.BERTH_SLOTS ?? defaultSlots(memoryBytes);
  const allowLocalRepositories = e.BERTH_LOCAL_REPOSITORIES === 'true';
  const allowFullNetwork = e.BERTH_ALLOW_FULL_NETWORK === 'true';
  if (e.BERTH_EGRESS.presets.includes('full') && !allowFullNetwork) {
    throw new BerthError('invalid_request', 'BERTH_EGRESS: full needs BERTH_ALLOW_FULL_NETWORK=true', { field: 'BERTH_EGRESS' });
  }
  requireIdleOrder(e);
  return {
    dataDir: e.BERTH_DATA_DIR,
    agentsDir: e.BERTH_AGENTS_DIR ?? join(e.BERTH_DATA_DIR, 'agents'),
    /** For programs that are started (npm, git); each picks the few names it needs. */
    environment: env,
    host: e.BERTH_HOST,
    port: e.BERTH_PORT,
    publicUrl: e.BERTH_PUBLIC_URL ?? null,
    preview: previewSettings(e),
    databaseUrl: e.BERTH_DATABASE_URL ?? null,
    redisUrl: e.BERTH_REDIS_URL ?? null,
    advertiseUrl: e.BERTH_ADVERTISE_URL ?? null,
    keyFile: e.BERTH_KEY_FILE ?? join(e.BERTH_DATA_DIR, 'key'),
    providers: e.BERTH_PROVIDERS,
    placementFile: e.BERTH_PLACEMENT ?? null,
    docker: {
      socketPath: e.BERTH_DOCKER_HOST?.slice('unix://'.length) ?? '/var/run/docker.sock',
      runtime: e.BERTH_DOCKER_RUNTIME ?? null,
      images: e.BERTH_DOCKER_IMAGES,
    },
    firecracker: {
      driveLimits: {
        bytesPerSecond: e.BERTH_FIRECRACKER_DISK_MIB_PER_SECOND === undefined ? undefined : e.BERTH_FIRECRACKER_DISK_MIB_PER_SECOND * 1024 ** 2,
        operationsPerSecond: e.BERTH_FIRECRACKER_DISK_OPERATIONS_PER_SECOND,
      },
    },
    runtime: e.BERTH_RUNTIME ?? null,
    slots,
    warm: {
      count: e.BERTH_WARM ?? defaultWarm(slots),
      ...parsePreclone(e.BERTH_PRECLONE, allowLocalRepositories),
    },
    sandboxLimits: {
      cpus: e.BERTH_SANDBOX_CPUS ?? Math.max(1, availableParallelism() / 2),
      memoryBytes,
      pids: 2048,
      diskBytes: (e.BERTH_SANDBOX_DISK_GIB ?? 20) * gibibyte,
    },
    maxSandboxLimits: {
      cpus: availableParallelism(),
      memoryBytes: totalmem(),
      pids: 32_768,
      diskBytes: 4096 * gibibyte,
    },
    idle: {
      pauseMs: toMs(e.BERTH_IDLE_PAUSE_MINUTES),
      hibernateMs: toMs(e.BERTH_IDLE_HIBERNATE_MINUTES),
      archiveMs: toMs(e.BERTH_IDLE_ARCHIVE_MINUTES),
      lastStep: e.BERTH_IDLE_LAST_STEP,
      hibernateAskingMs: toMs(e.BERTH_ASKING_HIBERNATE_MINUTES),
    },
    logLimits: { bytesPerTurn: e.BERTH_LOG_TURN_MIB * 1024 ** 2, bytesPerSession: e.BERTH_LOG_SESSION_MIB * 1024 ** 2 },
    userPriorities: e.BERTH_PRIORITIES,
    quotas: { user: e.BERTH_QUOTA_USER, team: e.BERTH_QUOTA_TEAM },
    rateLimits: e.BERTH_RATE_LIMITS,
    isTrustedProxy: e.BERTH_TRUSTED_PROXIES,
    signInFile: e.BERTH_SIGN_IN ?? null,
    taskOwner: e.BERTH_TASK_OWNER,
    egress: { defaultPolicy: e.BERTH_EGRESS, allowFullNetwork } satisfies EgressSettings,
    nameServers: e.BERTH_FULL_NETWORK_DNS,
    fullNetwork: allowFullNetwork ? { namespace: e.BERTH_FULL_NETWORK_NAMESPACE ?? null } : null,
    permissionMode: e.BERTH_PERMISSION_MODE,
    permissionsFile: e.BERTH_PERMISSIONS ?? null,
    egressToLoopback: e.BERTH_EGRESS_TO_LOOPBACK === 'true',
    webhooksToLoopback: e.BERTH_WEBHOOKS_TO_LOOPBACK === 'true',
    logLevel: e.BERTH_LOG_LEVEL,
    log: e.BERTH_LOG ?? join(e.BERTH_DATA_DIR, 'server.log'),
    allowLocalRepositories,
    kms: { command: e.BERTH_KMS_COMMAND ?? null, keyFiles: e.BERTH_KMS_KEY_FILES?.split(',') ?? [] },
    pricesFile: e.BERTH_PRICES ?? null,
    budget: { session: e.BERTH_BUDGET_SESSION, user: e.BERTH_BUDGET_USER, day: e.BERTH_BUDGET_DAY } satisfies UserBudget,
    upstreams: {
      ...anthropicUpstream(e),
      ...(e.OPENAI_API_KEY === undefined ? {} : { openai: { baseUrl: e.OPENAI_BASE_URL, apiKey: e.OPENAI_API_KEY } }),
      ...(e.GEMINI_API_KEY === undefined
        ? {}
        : { gemini: { baseUrl: e.GOOGLE_GEMINI_BASE_URL, apiKey: e.GEMINI_API_KEY } }),
    },
    github: {
      apiUrl: e.BERTH_GITHUB_API_URL,
      htmlUrl: e.BERTH_GITHUB_URL ?? null,
      accounts: e.BERTH_GITHUB_ACCOUNTS?.split(',').map((login) => login.trim()) ?? null,
      pacing: e.BERTH_GITHUB_PACING === 'on',
    },
  };
}

function parseProviders(text: string, context: z.RefinementCtx): string[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !providerNames.includes(name));
  if (unknown !== undefined) context.addIssue(`"${unknown}" is not one of ${providerNames.join(', ')}`);
  if (new Set(names).size !== names.length) context.addIssue('a provider is named twice');
  return names;
}

function readRateLimits(text: string, context: z.RefinementCtx): RateLimits | null {
  try {
    return parseRateLimits(text);
  } catch (error) {
    context.addIssue(messageOf(error));
    return z.NEVER;
  }
}

function readTrustedProxies(text: string, context: z.RefinementCtx): IsTrustedProxy {
  try {
    return trustedProxies(text.split(',').map((each) => each.trim()).filter((each) => each !== ''));
  } catch (error) {
    context.addIssue(messageOf(error));
    return z.NEVER;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function readQuota(text: string, context: z.RefinementCtx): Quota {
  try {
    return parseQuota(text);
  } catch (error) {
    const issue = error instanceof z.ZodError ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}` : messageOf(error);
    context.addIssue(issue);
    return z.NEVER;
  }
}

function readBudget(text: string | undefined, context: z.RefinementCtx): BudgetLimits {
  try {
    return parseBudgetLimits(text ?? '');
  } catch (error) {
    const issue = error instanceof z.ZodError ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}` : String(error);
    context.addIssue(`"${text}" is not of the form usd=5,tokens=2m,turns=20,minutes=90 (${issue})`);
    return z.NEVER;
  }
}

function parseImages(text: string, context: z.RefinementCtx): Record<string, string> {
  const images: Record<string, string> = {};
  for (const entry of text.split(',').filter((each) => each.trim() !== '')) {
    const [, name, image] = /^\s*([a-z0-9][a-z0-9._-]*)=(\S+)\s*$/.exec(entry) ?? [];
    if (name === undefined || image === undefined) context.addIssue(`"${entry}" is not of the form template=image`);
    else images[name] = image;
  }
  return images;
}

function readNameServers(text: string | undefined, context: z.RefinementCtx): readonly string[] | null {
  if (text === undefined) return null;
  const servers = text.split(',').map((entry) => entry.trim());
  try {
    new Resolver().setServers(servers);
    return servers;
  } catch {
    context.addIssue(`"${text}" is not a list of addresses, each with or without a port`);
    return z.NEVER;
  }
}

function readEgress(text: string, context: z.RefinementCtx): EgressPolicy {
  try {
    return parseEgressPolicy(text);
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0]?.message : String(error);
    context.addIssue(`"${text}" is not none, or of packages, git, open, full and hosts (${issue})`);
    return z.NEVER;
  }
}

/** A page below the domain of a preview, or above it, could have cookies in common with it. */
function previewSettings(e: z.infer<typeof environment>): { port: number; domain: string | null; url: string | null } | null {
  const { BERTH_PREVIEW_PORT: port, BERTH_PREVIEW_DOMAIN: domain, BERTH_PREVIEW_URL: url, BERTH_PUBLIC_URL: publicUrl } = e;
  const refuse = (field: string, message: string): never => {
    throw new BerthError('invalid_request', `${field}: ${message}`, { field });
  };
  if (port === undefined) {
    if (domain !== undefined) refuse('BERTH_PREVIEW_DOMAIN', 'needs BERTH_PREVIEW_PORT');
    if (url !== undefined) refuse('BERTH_PREVIEW_URL', 'needs BERTH_PREVIEW_PORT');
    return null;
  }
  const own = publicUrl === undefined ? null : new URL(publicUrl).hostname;
  if (domain !== undefined && own !== null && own !== 'localhost' && (own.endsWith(`.${domain}`) || domain.endsWith(`.${own}`) || own === domain)) {
    refuse('BERTH_PREVIEW_DOMAIN', `${domain} and ${own} are above or below each other, so a preview's page could set cookies for Berth`);
  }
  return { port, domain: domain ?? null, url: url?.replace(/\/$/, '') ?? null };
}

/** A step that comes no later than the one before it would never be seen. */
function requireIdleOrder(e: z.infer<typeof environment>): void {
  const names = ['BERTH_IDLE_PAUSE_MINUTES', 'BERTH_IDLE_HIBERNATE_MINUTES', 'BERTH_IDLE_ARCHIVE_MINUTES'] as const;
  const given = names.filter((name) => e[name] > 0);
  for (const [index, name] of given.entries()) {
    const next = given[index + 1];
    if (next === undefined || e[name] < e[next]) continue;
    const message = `${name} (${e[name]}) must be less than ${next} (${e[next]})`;
    throw new BerthError('invalid_request', message, { field: name });
  }
}

function parsePriorities(text: string, context: z.RefinementCtx): Record<string, Priority> {
  const priorities: Record<string, Priority> = {};
  for (const entry of text.split(',').filter((each) => each.trim() !== '')) {
    const at = entry.lastIndexOf('=');
    const level = priority.safeParse(entry.slice(at + 1).trim());
    if (at < 1 || !level.success) {
      context.addIssue(`"${entry}" is not of the form user=${priority.options.join('|')}`);
      continue;
    }
    priorities[entry.slice(0, at).trim()] = level.data;
  }
  return priorities;
}

function anthropicUpstream(e: z.infer<typeof environment>) {
  const baseUrl = e.ANTHROPIC_BASE_URL;
  if (e.ANTHROPIC_API_KEY !== undefined) return { anthropic: { baseUrl, apiKey: e.ANTHROPIC_API_KEY } };
  if (e.ANTHROPIC_AUTH_TOKEN !== undefined) return { anthropic: { baseUrl, authToken: e.ANTHROPIC_AUTH_TOKEN } };
  return {};
}

/** An eighth of the machine, between 1 and 4 GiB: room for an agent, a build and its tests. */
function defaultMemoryMib(): number {
  return Math.round(Math.min(4096, Math.max(1024, totalmem() / 8 / 1024 ** 2)));
}

/** As many as memory holds, three per core at the most: agents wait for their model most of the time. */
export function defaultSlots(memoryBytes: number, machine: Machine = thisMachine()): number {
  const byMemory = Math.floor((machine.memoryBytes - gibibyte) / memoryBytes);
  return Math.max(1, Math.min(byMemory, machine.cores * 3));
}

/** A warm sandbox is idle and small, but what claims it is not: none where memory or slots are few. */
export function defaultWarm(slots: number, machine: Machine = thisMachine()): number {
  if (slots < 2 || machine.memoryBytes < 3 * gibibyte) return 0;
  return slots < 6 ? 1 : 2;
}

export interface Machine {
  memoryBytes: number;
  cores: number;
}

function thisMachine(): Machine {
  return { memoryBytes: totalmem(), cores: availableParallelism() };
}

function parsePreclone(text: string, allowLocal: boolean): Pick<WarmSettings, 'preclone' | 'mirrorConnected'> {
  const named = text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
  try {
    const urls = named
      .filter((each) => each !== connected)
      .map((each) => parseRepositoryUrl(each, { allowLocal }).url);
    return { preclone: [...new Set(urls)], mirrorConnected: named.includes(connected) };
  } catch (cause) {
    const message = `BERTH_PRECLONE: ${asBerthError(cause).message}`;
    throw new BerthError('invalid_request', message, { field: 'BERTH_PRECLONE', cause });
  }
}

const connected = 'connected';
