import type { EgressSettings } from './egress/network-mode.ts';
import type { PlacementPolicy } from './placement/policy.ts';
import type { Providers } from './providers.ts';
import type { PermissionMode, PermissionPolicy } from '../protocol/permission-policy.ts';
import type { UserBudget } from '../protocol/budget.ts';
import type { LogLimits } from './journal/flood-guard.ts';
import type { AgentCatalog, AgentInstaller } from './ports/agent.ts';
import type { Clock } from './ports/clock.ts';
import type { Gateway } from './ports/gateway.ts';
import type { Git } from './ports/git.ts';
import type { Logger } from './ports/logger.ts';
import type { WarmSettings } from './pool/warm-plan.ts';
import type { IdlePolicy } from './sandboxes/idle-policy.ts';
import type { QuotaDefaults } from './quotas/subjects.ts';
import type { Queue } from './ports/queue.ts';
import type { ConnectRunner } from './ports/runner.ts';
import type { SandboxLimits } from './ports/sandbox-provider.ts';
import type { Store } from './ports/store.ts';
import type { WebhookSender } from './ports/webhook-sender.ts';
import type { QueueSettings } from './turns/queue-settings.ts';
import type { WebhookSettings } from './webhooks/webhook-worker.ts';

/** What the use cases are given; `main.ts` wires the drivers, tests wire others. */
export interface Dependencies {
  store: Store;
  queue: Queue;
  providers: Providers;
  connectRunner: ConnectRunner;
  /** The bearer token of a sandbox's runner, derived from its id and the installation's secret. */
  runnerToken: (sandboxId: string) => string;
  gateway: Gateway;
  git: Git;
  agents: AgentCatalog;
  installer: AgentInstaller;
  webhookSender: WebhookSender;
  /** What the machine is short of, in words, so that nothing is made ahead; `null` when of nothing. */
  hostPressure: () => Promise<string | null>;
  clock: Clock;
  logger: Logger;
  settings: Settings;
}

export interface Settings {
  /** The machine that this server's sandboxes live on. */
  hostId: string;
  /** How many sandboxes may run at once. */
  slots: number;
  /** The sandboxes kept ready without a session; see `core/pool/warm-plan.ts`. */
  warm: WarmSettings;
  /** Which provider a session gets; see `core/placement/policy.ts`. */
  placement: PlacementPolicy;
  defaultTemplate: string;
  defaultLimits: SandboxLimits;
  /** The most a session may ask for. */
  maxLimits: SandboxLimits;
  egress: EgressSettings;
  defaultPermissionTimeoutMs: number;
  /** The rules that hold in every session, behind its own and its repository's. */
  permissionPolicy: PermissionPolicy;
  /** Of sessions that name none. */
  permissionMode: PermissionMode;
  /** When a session without work and without an open stream is put to rest; see `core/sandboxes/idle-policy.ts`. */
  idle: IdlePolicy;
  /** How much a sandbox may write into its session's log. */
  logLimits: LogLimits;
  queue: QueueSettings;
  /** Limits of every user and session that has no others. */
  serverBudget: UserBudget;
  /** Of users and teams that have no quota of their own. */
  quotas: QuotaDefaults;
  webhooks: WebhookSettings;
  /** The user whose the sessions are that the forge asks for. */
  taskOwner: string;
  /** Whether owners of the installation may name `file://` repositories. */
  allowLocalRepositories: boolean;
  author: { name: string; email: string };
}
