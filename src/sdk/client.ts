import { z } from 'zod';
import {
  admission,
  agentInfo,
  finding,
  poolOverview,
  promptRequest,
  queueOverview,
  serverHealth,
  webhookSecret,
  type Admission,
  type AgentInfo,
  type PoolOverview,
  type QueueOverview,
  type ServerHealth,
} from '../protocol/api.ts';
import { loginLink, me, type LoginLink, type LoginRequest, type Me } from '../protocol/login-api.ts';
import { createAuditResource, type AuditResource } from './resources/audit.ts';
import { account, type Account } from '../protocol/users-api.ts';
import { createDeadLettersResource, type DeadLettersResource } from './resources/dead-letters.ts';
import { createSecretsResource, type SecretsResource } from './resources/secrets.ts';
import { createEgressResource, type EgressResource } from './resources/egress.ts';
import type { CallOptions } from './resources/files.ts';
import { createGithubResource, type GithubResource } from './resources/github.ts';
import { createSessionsResource, type SessionsResource } from './resources/sessions.ts';
import { createHostsResource, type HostsResource } from './resources/hosts.ts';
import { createSharesResource, type SharesResource } from './resources/shares.ts';
import { createSnapshotsResource, type SnapshotsResource } from './resources/snapshots.ts';
import { createBudgetsResource, type BudgetsResource } from './resources/budgets.ts';
import { createQuotasResource, type QuotasResource } from './resources/quotas.ts';
import { createAccountsResource, type AccountsResource } from './resources/accounts.ts';
import { createDevicesResource, type DevicesResource } from './resources/devices.ts';
import { createTeamsResource, type TeamsResource } from './resources/teams.ts';
import {
  createTokensResource,
  createUsersResource,
  type TokensResource,
  type UsersResource,
} from './resources/users.ts';
import { createKeysResource, type KeysResource } from './resources/keys.ts';
import { createTemplatesResource, type TemplatesResource } from './resources/templates.ts';
import { createUsageResource, type UsageResource } from './resources/usage.ts';
import { Transport, type TransportOptions } from './transport.ts';

export type BerthClientOptions = TransportOptions;
export type PromptInput = z.input<typeof promptRequest>;
export type DoctorFinding = z.infer<typeof finding>;

/**
 * A typed client of Berth's HTTP API, made of web standards only: it runs in browsers, Workers and
 * Node. Every method throws `BerthError`; every answer is checked against its schema.
 */
export interface BerthClient {
  readonly baseUrl: string;
  readonly sessions: SessionsResource;
  readonly snapshots: SnapshotsResource;
  readonly deadLetters: DeadLettersResource;
  readonly hosts: HostsResource;
  readonly egress: EgressResource;
  readonly audit: AuditResource;
  readonly secrets: SecretsResource;
  readonly github: GithubResource;
  readonly users: UsersResource;
  readonly teams: TeamsResource;
  readonly tokens: TokensResource;
  readonly shares: SharesResource;
  readonly accounts: AccountsResource;
  readonly devices: DevicesResource;
  readonly templates: TemplatesResource;
  readonly usage: UsageResource;
  readonly keys: KeysResource;
  readonly budgets: BudgetsResource;
  readonly quotas: QuotasResource;
  /** Prompts a session, or makes one of the other fields first; sent again after a network failure, under one idempotency key. */
  prompt(input: PromptInput, options?: CallOptions): Promise<Admission>;
  agents(options?: CallOptions): Promise<AgentInfo[]>;
  /** Who waits for a slot, in the order in which they are expected to start. */
  queue(options?: CallOptions): Promise<QueueOverview>;
  /** Slots, warm sandboxes, and how the pool does. */
  pool(options?: CallOptions): Promise<PoolOverview>;
  /** What webhooks are signed by. Throws `forbidden` for all but the machine's owner. */
  webhookSecret(options?: CallOptions): Promise<string>;
  /** What the server found on its machine. */
  doctor(options?: CallOptions): Promise<DoctorFinding[]>;
  /** Who the token, or the browser's cookie, belongs to, and what he may. */
  me(options?: CallOptions): Promise<Account>;
  /** Signs the browser in that calls this: it gets a cookie. Needs no token; `code` is from a sign-in link. */
  login(request: LoginRequest, options?: CallOptions): Promise<Me>;
  logout(options?: CallOptions): Promise<void>;
  /** A link that signs one browser in as the caller, once. */
  loginLink(options?: CallOptions): Promise<LoginLink>;
  /** Needs no token. */
  health(options?: CallOptions): Promise<ServerHealth>;
}

/** No I/O before the first call. Throws `invalid_request` for an address that is not http or https. */
export function createBerthClient(options: BerthClientOptions): BerthClient {
  const transport = new Transport(options);
  return {
    baseUrl: transport.baseUrl,
    sessions: createSessionsResource(transport),
    snapshots: createSnapshotsResource(transport),
    deadLetters: createDeadLettersResource(transport),
    hosts: createHostsResource(transport),
    egress: createEgressResource(transport),
    audit: createAuditResource(transport),
    secrets: createSecretsResource(transport),
    github: createGithubResource(transport),
    users: createUsersResource(transport),
    teams: createTeamsResource(transport),
    tokens: createTokensResource(transport),
    shares: createSharesResource(transport),
    accounts: createAccountsResource(transport),
    devices: createDevicesResource(transport),
    templates: createTemplatesResource(transport),
    usage: createUsageResource(transport),
    keys: createKeysResource(transport),
    budgets: createBudgetsResource(transport),
    quotas: createQuotasResource(transport),
    prompt: (input, callOptions) =>
      transport.json(admission, 'POST', '/api/session/prompt', {
        json: { idempotencyKey: crypto.randomUUID(), ...input },
        idempotent: true,
        ...callOptions,
      }),
    async agents(callOptions) {
      return (await transport.json(z.object({ agents: z.array(agentInfo) }), 'GET', '/api/agents', callOptions)).agents;
    },
    queue: (callOptions) => transport.json(queueOverview, 'GET', '/api/queue', callOptions),
    pool: (callOptions) => transport.json(poolOverview, 'GET', '/api/pool', callOptions),
    async webhookSecret(callOptions) {
      return (await transport.json(webhookSecret, 'GET', '/api/webhooks/secret', callOptions)).secret;
    },
    async doctor(callOptions) {
      return (await transport.json(z.object({ findings: z.array(finding) }), 'GET', '/api/doctor', callOptions))
        .findings;
    },
    me: (callOptions) => transport.json(account, 'GET', '/api/me', callOptions),
    login: (request, callOptions) => transport.json(me, 'POST', '/api/login', { json: request, ...callOptions }),
    logout: (callOptions) => transport.empty('POST', '/api/logout', { idempotent: true, ...callOptions }),
    loginLink: (callOptions) => transport.json(loginLink, 'POST', '/api/login-links', callOptions),
    health: (callOptions) => transport.json(serverHealth, 'GET', '/api/health', callOptions),
  };
}
