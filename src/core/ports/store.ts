import type {
  EventError,
  JournalEventData,
  ServerEventData,
  SessionEvent,
  SessionStatus,
  Usage,
} from '../../protocol/events.ts';
import type { BudgetLimits, UserBudget } from '../../protocol/budget.ts';
import type { Quota } from '../../protocol/quota.ts';
import type { QuotaSubject } from '../../protocol/quota-subject.ts';
import type { KeyScope, ModelApi } from '../../protocol/keys.ts';
import type { SecretPlace } from './secrets.ts';
import type { LimitKey } from '../budgets/limits.ts';
import type { AuditAction, AuditEntry } from '../../protocol/audit.ts';
import type { PermissionMode, PermissionPolicy } from '../../protocol/permission-policy.ts';
import type { EgressPolicy } from '../../protocol/egress.ts';
import type { WebhookEvent } from '../../protocol/api.ts';
import type { UsageDimension } from '../../protocol/usage.ts';
import type { ShareRight, TeamRole, TokenScope, UserRole } from '../../protocol/users-api.ts';
import type { Prompt } from '../../protocol/content.ts';
import type { McpServer } from '../../protocol/runner-api.ts';
import type { IdlePolicyOverride } from '../sandboxes/idle-policy.ts';
import type { SandboxLimits, SandboxStatus } from './sandbox-provider.ts';

/**
 * The store: the one truth about sessions, turns and events. Every change of state is one
 * transaction; whatever `transaction` runs is applied whole or not at all, even over `kill -9`.
 * `fn` may be run again on a serialisation failure, so it must have no effect of its own. Once a call on
 * `tx` has failed nothing is committed, whatever `fn` makes of the failure.
 */
export interface Store {
  /**
   * Those asked for at once may run beside each other, also in several servers, and end as if one had gone
   * after the other. A nested call is refused with `internal`. `unavailable` when the database cannot be reached;
   * lost in the middle of a commit, it may have been carried out.
   */
  transaction<T>(fn: (tx: StoreTransaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Reads outside a transaction, each of them consistent by itself. */
  read: StoreReads;
  /**
   * Tells of committed events: at once of this store's own, soon of those that other servers on the same database
   * commit. The reader goes to the log for them.
   */
  onEvents(listener: (sessionId: string, lastSeq: number) => void): () => void;
  /**
   * Tells the other servers on the same database that there is work for `to` (`core/ports/queue.ts`). Nothing is kept: who
   * does not listen now does not hear of it. One line of at most 200 characters.
   */
  announceWork(to: string): Promise<void>;
  /** Hears what other servers announce, and `any` after a time in which it could not listen. */
  onWork(listener: (to: string) => void): () => void;
  close(): Promise<void>;
}

export interface TransactionOptions {
  /** Waits for every transaction under way, in all servers, and holds up the rest: what began before it has ended. */
  alone?: boolean;
}

export interface StoreReads {
  session(id: string): Promise<SessionRecord | null>;
  sessions(filter: SessionFilter): Promise<SessionRecord[]>;
  turn(id: string): Promise<TurnRecord | null>;
  turnByKey(sessionId: string, idempotencyKey: string): Promise<TurnRecord | null>;
  /** Oldest first. */
  turns(sessionId: string, states?: readonly TurnState[]): Promise<TurnRecord[]>;
  /** All turns in these states, or those that a host claimed, in queue order: larger priority first, then age. */
  turnsInState(states: readonly TurnState[], hostId?: string): Promise<TurnRecord[]>;
  /** What waits, oldest first; turns of sessions that are being deleted are left out. */
  queuedTurns(): Promise<QueueTurn[]>;
  /** Those that hold a slot, and those that got one at or after `since`; oldest claim first. */
  servedTurns(since: string): Promise<QueueTurn[]>;
  /** Those that got a slot last, newest first. */
  latestClaimedTurns(limit: number): Promise<QueueTurn[]>;
  /** Newest first. */
  deadLetters(filter: DeadLetterFilter): Promise<DeadLetterRecord[]>;
  deadLetter(turnId: string): Promise<DeadLetterRecord | null>;
  webhook(id: string): Promise<WebhookRecord | null>;
  /** Pending ones to be tried at or before `at`, the longest due first. */
  dueWebhooks(at: string, limit: number): Promise<WebhookRecord[]>;
  /** When the next pending one is to be tried; `null` when none is pending. */
  nextWebhookAt(): Promise<string | null>;
  sandbox(id: string): Promise<SandboxRecord | null>;
  sandboxes(filter?: SandboxFilter): Promise<SandboxRecord[]>;
  /** How many there are of each status that occurs. */
  sandboxCounts(): Promise<ReadonlyMap<SandboxRecord['status'], number>>;
  /** What keeps each session's sandbox awake, all by one query. Those of sessions being deleted are left out. */
  sandboxUses(filter?: SandboxFilter): Promise<SandboxUse[]>;
  snapshot(id: string): Promise<SnapshotRecord | null>;
  /** Newest first. */
  snapshots(filter?: SnapshotFilter): Promise<SnapshotRecord[]>;
  /** By id. */
  hosts(): Promise<HostRecord[]>;
  /** Whether the host is registered under this epoch and its lease has not run out, by the database's clock. */
  holdsLease(hostId: string, epoch: number): Promise<boolean>;
  /** What the installation's key is recognised by; `null` before the first server. */
  keyCheck(): Promise<string | null>;
  /**
   * `seq > from`, ascending, at most `limit`, and no more than 8 MiB of data but for a first event: what sandboxes write is
   * large where they wish it. Only an empty page is the end.
   */
  events(sessionId: string, from: number, limit: number): Promise<SessionEvent[]>;
  permission(sessionId: string, requestId: string): Promise<PermissionRecord | null>;
  openPermissions(sessionId: string): Promise<PermissionRecord[]>;
  /** In the order in which they were asked. */
  permissionsOfTurn(sessionId: string, turnId: string): Promise<PermissionRecord[]>;
  /** Open ones that somebody has answered, whose agent has not heard it yet. */
  keptAnswers(): Promise<PermissionRecord[]>;
  idempotentResponse(scope: string, key: string): Promise<IdempotentResponse | null>;
  tokenByHash(hash: string): Promise<TokenRecord | null>;
  token(id: string): Promise<TokenRecord | null>;
  /** Of one user, newest first; those that were revoked too. */
  tokens(owner: string): Promise<TokenRecord[]>;
  user(handle: string): Promise<UserRecord | null>;
  /** By handle. */
  users(): Promise<UserRecord[]>;
  team(name: string): Promise<TeamRecord | null>;
  /** By name. */
  teams(): Promise<TeamRecord[]>;
  /** Of a team or of a user, by team and member. */
  teamMembers(filter: { team?: string; member?: string }): Promise<TeamMemberRecord[]>;
  sessionShares(sessionId: string): Promise<SessionShareRecord[]>;
  linkedAccount(issuer: string, subject: string): Promise<LinkedAccountRecord | null>;
  /** Of one user, oldest first. */
  linkedAccounts(owner: string): Promise<LinkedAccountRecord[]>;
  deviceRequest(deviceHash: string): Promise<DeviceRequestRecord | null>;
  deviceRequestByCode(codeHash: string): Promise<DeviceRequestRecord | null>;
  /** How many there are, whatever their state. */
  deviceRequestCount(): Promise<number>;
  repository(id: string): Promise<RepositoryRecord | null>;
  repositoryByUrl(url: string): Promise<RepositoryRecord | null>;
  repositories(): Promise<RepositoryRecord[]>;
  githubApp(): Promise<GithubAppRecord | null>;
  task(id: string): Promise<TaskRecord | null>;
  /** The task that owns an issue or a pull request of a repository. */
  taskByNumber(repositoryId: string, number: number): Promise<TaskRecord | null>;
  taskBySession(sessionId: string): Promise<TaskRecord | null>;
  tasksInState(states: readonly TaskState[]): Promise<TaskRecord[]>;
  delivery(id: string): Promise<DeliveryRecord | null>;
  /** Latest first. */
  egressDecisions(sessionId: string, limit: number): Promise<EgressDecisionRecord[]>;
  /** Of all sessions, latest first. */
  egressDecisionsOfAll(filter: EgressFilter): Promise<EgressDecisionRecord[]>;
  /** By name. */
  secrets(holder: SecretHolder): Promise<SecretRecord[]>;
  deliveriesInState(state: DeliveryState): Promise<DeliveryRecord[]>;
  /** Whose model call it is when this session makes one now; `null` for no session, or one that is being deleted. */
  modelCaller(sessionId: string): Promise<ModelCaller | null>;
  /** Sums, one for each combination of `by` that occurs: the latest day first, then in the order of `by`. */
  modelUsage(filter: ModelUsageFilter, by: readonly UsageDimension[], limit: number): Promise<ModelUsageSum[]>;
  /** How many turns were begun, and how long those that ended were at work. */
  modelKey(id: string): Promise<ModelKeyRecord | null>;
  /** By scope, subject and name. With `user` or `teams`: theirs and the server's. */
  modelKeys(filter?: ModelKeyFilter): Promise<ModelKeyRecord[]>;
  /** Oldest first. */
  dataKeys(): Promise<DataKeyRecord[]>;
  /** Every sealed secret there is, with its place. */
  sealedValues(): Promise<{ place: SecretPlace; sealed: string }[]>;
  /** `null`: no settings of its own. */
  userBudget(user: string): Promise<UserBudget | null>;
  /** All that were set. */
  quotas(): Promise<QuotaRecord[]>;
  /** Of a user's sessions, or of those made for a team, those that are being deleted included; `diskBytes`: of their limits. */
  sessionTotals(subject: QuotaSubject): Promise<{ sessions: number; diskBytes: number }>;
  /** Whose sessions have a sandbox in one of these statuses; one entry for each. */
  slotHolders(statuses: readonly SandboxRecord['status'][]): Promise<SlotHolder[]>;
  /** What people added to a limit, in `unitsOf`. */
  budgetRaise(limit: LimitKey): Promise<number>;
  /** The server's own open questions, of all sessions. */
  openBudgetQuestions(): Promise<PermissionRecord[]>;
  turnUsage(filter: Omit<ModelUsageFilter, 'turnId' | 'model'>): Promise<{ turns: number; activeMs: number }>;
  audit(filter: AuditFilter): Promise<AuditRecord[]>;
  /** Number and hash of the last entry of the audit log. */
  auditHead(): Promise<Pick<AuditRecord, 'seq' | 'hash'>>;
}

export interface StoreTransaction extends StoreReads {
  insertSession(record: SessionRecord): Promise<void>;
  /** Numbering and cursors belong to `appendEvents` alone. */
  updateSession(
    id: string,
    change: Partial<Omit<SessionRecord, 'id' | 'hostId' | 'lastSeq' | 'logBytes' | 'journalId' | 'journalSeq'>>,
  ): Promise<void>;
  /** Moves the session's last use forward to `at`; an earlier one, or no such session, is passed over. */
  touchSession(id: string, at: string): Promise<void>;
  deleteSession(id: string): Promise<void>;
  insertTurn(record: TurnRecord): Promise<void>;
  updateTurn(id: string, change: Partial<Omit<TurnRecord, 'id' | 'sessionId'>>): Promise<void>;
  upsertDeadLetter(record: DeadLetterRecord): Promise<void>;
  /** No-op when the id is there already: an event is told once. */
  insertWebhook(record: WebhookRecord): Promise<void>;
  updateWebhook(id: string, change: Partial<Omit<WebhookRecord, 'id'>>): Promise<void>;
  insertSandbox(record: SandboxRecord): Promise<void>;
  updateSandbox(id: string, change: Partial<Omit<SandboxRecord, 'id'>>): Promise<void>;
  deleteSandbox(id: string): Promise<void>;
  /** `conflict` when the owner has one of this name. */
  insertSnapshot(record: SnapshotRecord): Promise<void>;
  updateSnapshot(id: string, change: Partial<Omit<SnapshotRecord, 'id'>>): Promise<void>;
  deleteSnapshot(id: string): Promise<void>;
  /** Makes or replaces the host's record, under an epoch that it never had before; returns that. */
  registerHost(host: HostRegistration): Promise<number>;
  /** False when the lease has run out or the epoch is another's. */
  renewLease(hostId: string, epoch: number, leaseMs: number): Promise<boolean>;
  /** Gives the host what no host has: records of a version that knew no hosts. */
  adoptUnowned(hostId: string): Promise<void>;
  deleteHost(id: string): Promise<void>;
  /** Throws `conflict` when there is one. */
  saveKeyCheck(keyCheck: string): Promise<void>;
  /**
   * Appends to the session's log and numbers each event; returns the last `seq`. An event with a
   * `journal` entry moves the session's journal cursor in the same transaction; one at or below the
   * cursor is dropped, so that an import can be repeated without a double.
   */
  appendEvents(sessionId: string, events: readonly NewEvent[]): Promise<number>;
  upsertPermission(record: PermissionRecord): Promise<void>;
  saveIdempotentResponse(record: IdempotentResponse): Promise<void>;
  insertToken(record: TokenRecord): Promise<void>;
  updateToken(id: string, change: Partial<Pick<TokenRecord, 'lastUsedAt' | 'revokedAt'>>): Promise<void>;
  /** `conflict` when the handle is taken. */
  insertUser(record: UserRecord): Promise<void>;
  updateUser(handle: string, change: Partial<Pick<UserRecord, 'displayName' | 'role' | 'disabledAt'>>): Promise<void>;
  /** Takes memberships, and shares with the user, along. No-op when absent. */
  deleteUser(handle: string): Promise<void>;
  /** `conflict` when the name is taken. */
  insertTeam(record: TeamRecord): Promise<void>;
  /** Takes memberships, and shares with the team, along; its sessions become personal. No-op when absent. */
  deleteTeam(name: string): Promise<void>;
  upsertTeamMember(record: TeamMemberRecord): Promise<void>;
  deleteTeamMember(team: string, member: string): Promise<void>;
  upsertSessionShare(record: SessionShareRecord): Promise<void>;
  deleteSessionShare(sessionId: string, subject: ShareSubject): Promise<void>;
  /** `conflict` when the account is somebody's. */
  insertLinkedAccount(record: LinkedAccountRecord): Promise<void>;
  updateLinkedAccount(id: string, change: Partial<Pick<LinkedAccountRecord, 'label' | 'origin' | 'lastUsedAt'>>): Promise<void>;
  deleteLinkedAccount(id: string): Promise<void>;
  insertDeviceRequest(record: DeviceRequestRecord): Promise<void>;
  updateDeviceRequest(deviceHash: string, change: Pick<DeviceRequestRecord, 'state' | 'owner'>): Promise<void>;
  deleteDeviceRequest(deviceHash: string): Promise<void>;
  /** Those that had ended at `at`. */
  deleteDeviceRequestsUntil(at: string): Promise<void>;
  upsertRepository(record: RepositoryRecord): Promise<void>;
  saveGithubApp(record: GithubAppRecord): Promise<void>;
  insertTask(record: TaskRecord): Promise<void>;
  updateTask(id: string, change: Partial<Omit<TaskRecord, 'id'>>): Promise<void>;
  /** False when the id was there already: a duplicate to drop. */
  insertDelivery(record: DeliveryRecord): Promise<boolean>;
  /** Adds `count` to the decision of the same session, host, port and answer, or keeps a new one. */
  addEgressDecision(record: EgressDecisionRecord): Promise<void>;
  /**
   * Appends to the audit log, which outlives what it tells of. Each entry is numbered without a gap and linked to the one before
   * it when the transaction ends, so `audit` inside it does not have them yet. Text is cut to a bound; a secret must not be in it.
   */
  appendAudit(entries: readonly NewAuditEntry[]): Promise<void>;
  /** By id. `conflict` when the holder has another of this name. */
  upsertSecret(record: SecretRecord): Promise<void>;
  deleteSecret(id: string): Promise<void>;
  updateDelivery(id: string, change: Partial<Omit<DeliveryRecord, 'id'>>): Promise<void>;
  /**
   * Adds a call to the sum of its session, turn, model and day. No-op when that sum's last call is this one: the calls of
   * a session are added one after the other, so one whose commit was in doubt may be added again.
   */
  addModelUsage(record: ModelUsageRecord): Promise<void>;
  /** Makes or replaces what one turn took. */
  saveTurnUsage(record: TurnUsageRecord): Promise<void>;
  /** `conflict` when its user, its team or the server has one of this name. */
  insertModelKey(record: ModelKeyRecord): Promise<void>;
  updateModelKey(id: string, change: Partial<Omit<ModelKeyRecord, 'id'>>): Promise<void>;
  deleteModelKey(id: string): Promise<void>;
  insertDataKey(record: DataKeyRecord): Promise<void>;
  retireDataKey(id: string, at: string): Promise<void>;
  deleteDataKey(id: string): Promise<void>;
  /** False when the place does not hold `before`. */
  replaceSealed(place: SecretPlace, before: string, after: string): Promise<boolean>;
  /** `null` forgets it. It goes with its user or team. */
  saveQuota(subject: QuotaSubject, quota: Quota | null, at: string): Promise<void>;
  /** `null` forgets the user's settings. */
  saveUserBudget(user: string, budget: UserBudget | null, at: string): Promise<void>;
  addBudgetRaise(raise: LimitKey & { amount: number }): Promise<void>;
}

/** An event before it is numbered; `journal` says which entry of which runner's journal it is. */
export type NewEvent = {
  at: string;
  turnId: string | null;
  journal?: { id: string; seq: number };
} & (JournalEventData | ServerEventData);

/** A credential for models. */
export interface ModelKeyRecord {
  id: string;
  scope: KeyScope;
  /** A user or a team; empty for the server's. */
  subject: string;
  name: string;
  api: ModelApi;
  /** `null`: the API's own address. */
  baseUrl: string | null;
  kind: 'api_key' | 'oauth';
  /** See `core/keys/stored-secret.ts`. */
  sealed: string;
  /** When the access token ends; `null`: never, or unknown. */
  expiresAt: string | null;
  /** Where it is renewed; `null`: it is not. */
  tokenUrl: string | null;
  clientId: string | null;
  /** While a server renews it. */
  renewingUntil: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface ModelKeyFilter {
  api?: ModelApi;
  user?: string;
  teams?: readonly string[];
}

/** A key that secrets are sealed with, itself wrapped. */
export interface DataKeyRecord {
  id: string;
  /** Which `KeyWrapper` wrapped it. */
  wrapper: string;
  wrapped: string;
  createdAt: string;
  /** Since when nothing new is sealed with it. */
  retiredAt: string | null;
}

export interface ModelCaller {
  owner: string;
  /** The turn that is at work; `null` between turns. */
  turnId: string | null;
}

/** One model call. Outlives its session. */
export interface ModelUsageRecord extends ModelCaller {
  callId: string;
  sessionId: string;
  api: string;
  model: string;
  at: string;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  estimated: boolean;
  /** In billionths of a US dollar; `null`: no price is known. */
  costNanos: number | null;
}

export interface ModelUsageFilter {
  sessionId?: string | undefined;
  owner?: string | undefined;
  turnId?: string | undefined;
  model?: string | undefined;
  /** Days in UTC, `2026-11-29`, both included. */
  from?: string | undefined;
  to?: string | undefined;
}

export interface ModelUsageSum {
  /** What it was grouped by. A turn of `null` is none. */
  group: { session?: string; user?: string; turn?: string | null; model?: string; day?: string };
  calls: number;
  estimatedCalls: number;
  unpricedCalls: number;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  /** Of the calls that have a price. */
  costNanos: number;
}

/** Outlives its session. */
export interface TurnUsageRecord {
  turnId: string;
  sessionId: string;
  owner: string;
  /** On which it was begun, in UTC. */
  day: string;
  /** At work, without the time in which it waited for answers; 0 until it ended. */
  activeMs: number;
}

/** What was done, by whom, to what; `core/audit/actor.ts` makes actors, `protocol/audit.ts` lists the actions. */
export interface NewAuditEntry extends Pick<AuditEntry, 'at' | 'actor' | 'target' | 'sessionId' | 'detail'> {
  action: AuditAction;
}

/** `action` may be one that a later version knows. */
export type AuditRecord = AuditEntry;

export interface AuditFilter {
  sessionId?: string;
  actor?: string;
  /** One, or all of a kind: `session.*`. */
  action?: string;
  target?: string;
  /** At or after this time. */
  since?: string;
  /** Before this time. */
  until?: string;
  /** Numbers above this one. */
  after?: number;
  /** Numbers below this one. */
  before?: number;
  order: 'oldest' | 'newest';
  limit: number;
}

/** Whose sessions may have a secret used. */
export interface SecretHolder {
  kind: 'user' | 'team';
  name: string;
}

export interface SecretRecord {
  id: string;
  holder: SecretHolder;
  name: string;
  hosts: readonly string[];
  header: string;
  template: string;
  /** The value, by the installation's `SecretBox`. */
  sealed: string;
  createdAt: string;
  updatedAt: string;
}

export interface EgressFilter {
  /** Of sessions that this user may view. */
  visibleTo?: string;
  sessionId?: string;
  /** What the host's name has in it. */
  host?: string;
  allowed?: boolean;
  limit: number;
}

export interface EgressDecisionRecord {
  sessionId: string;
  host: string;
  port: number;
  allowed: boolean;
  reason: string;
  count: number;
  firstAt: string;
  lastAt: string;
}

export interface SessionRecord {
  id: string;
  owner: string;
  /** Whose members may use it; `null`: it is personal. */
  team: string | null;
  title: string;
  status: SessionStatus;
  statusReason: string | null;
  agent: string;
  /** Command line of an agent given by the caller, or `null` for a known one. */
  agentArgv: string[] | null;
  provider: string;
  /** Why it is on this provider; `null` in what a version before that left. */
  placement: Placement | null;
  template: string;
  sandboxId: string | null;
  /** The host that has its sandbox; kept with that. */
  hostId: string | null;
  /** The session it was forked from, which may be gone. */
  forkedFrom: string | null;
  repositoryUrl: string | null;
  baseBranch: string | null;
  branch: string | null;
  /** The commit the branch started from. */
  baseCommit: string | null;
  cwd: string;
  limits: SandboxLimits;
  env: Record<string, string>;
  /** Where it may connect to; `null`: by the server's default. */
  egress: EgressPolicy | null;
  mcpServers: McpServer[];
  acpSessionId: string | null;
  /** While it has no conversation of its own: the one on its disk that its agent is to fork. */
  forkAcpSessionId: string | null;
  modeId: string | null;
  config: Record<string, string | boolean>;
  author: { name: string; email: string } | null;
  permissions: PermissionMode;
  /** Its own rules, before those of its repository and the server; `null`: none. */
  permissionPolicy: PermissionPolicy | null;
  permissionTimeoutMs: number;
  lastSeq: number;
  /** What its log takes: the data of its events, and 128 bytes for each beside. */
  logBytes: number;
  /** `logBytes` when its last turn was claimed. */
  logBytesAtTurn: number;
  /** Journal last imported from, and how far. */
  journalId: string | null;
  journalSeq: number;
  /** Set when deletion began; a restart goes on with it. */
  deletingAt: string | null;
  /** Its own times of rest; `null`: the pool's. */
  idle: IdlePolicyOverride | null;
  /** Its own limits on what it uses; `null`: its user's and the server's alone. */
  budget: BudgetLimits | null;
  /** When somebody or its agent last used it; at most half a minute behind. */
  lastUsedAt: string;
  /** Set when it was put away: its processes ended, its disk kept. The next use takes it out again. */
  archivedAt: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface Placement {
  /** Told to people. */
  reason: string;
  /** Providers that may take the place of its own, in order, while it has nothing there. */
  others: string[];
}

export interface SessionFilter {
  owner?: string;
  /** Only those that this user owns, has by a team, or that are shared with him or a team of his. */
  visibleTo?: string;
  ids?: readonly string[];
  statuses?: readonly SessionStatus[];
  archived?: boolean;
  /** Only those whose deletion has begun, or only those whose has not. */
  deleting?: boolean;
  /** Ids below this one; newest first. */
  before?: string;
  limit: number;
}

/**
 * `queued`: admitted, waits for a slot or for the session's earlier turns. `starting`: holds a slot,
 * the sandbox and agent are being made ready. `running`: handed to the runner. Then one of the ends.
 */
export type TurnState = 'queued' | 'starting' | 'running' | 'completed' | 'cancelled' | 'failed';

export interface TurnRecord {
  id: string;
  sessionId: string;
  idempotencyKey: string | null;
  state: TurnState;
  prompt: Prompt;
  /** Who asked: a user id, or `github:<login>`. */
  by: string;
  priority: number;
  /** Where to send signed webhooks, and which. */
  webhookUrl: string | null;
  webhookEvents: WebhookEvent[];
  /** Set when an interrupt was asked for. */
  cancelRequestedAt: string | null;
  /** How often it was claimed, and tried again without leaving its sandbox. */
  attempts: number;
  /** While it is `queued` after a failure: when it may be claimed again. */
  retryAt: string | null;
  /** When it last left the queue. */
  claimedAt: string | null;
  /** Whose server claimed it then. */
  hostId: string | null;
  /** What was said about its wait when it was admitted. */
  estimatedWaitMs: number | null;
  /** Its place as last told in the session's log. */
  queuePosition: number | null;
  stopReason: string | null;
  usage: Usage | null;
  error: EventError | null;
  createdAt: string;
  startedAt: string | null;
  endedAt: string | null;
}

/** A turn without its prompt, with what the queue must know of its session. */
export interface QueueTurn
  extends Pick<
    TurnRecord,
    | 'id'
    | 'sessionId'
    | 'state'
    | 'priority'
    | 'attempts'
    | 'retryAt'
    | 'claimedAt'
    | 'estimatedWaitMs'
    | 'queuePosition'
    | 'createdAt'
    | 'startedAt'
    | 'endedAt'
  > {
  /** Order of insertion. */
  ordinal: number;
  /** The session's. */
  owner: string;
  team: string | null;
  agent: string;
  /** Of the session's sandbox; `null` without one. */
  sandboxStatus: SandboxRecord['status'] | null;
  hostId: string | null;
}

export interface QuotaRecord {
  subject: QuotaSubject;
  quota: Quota;
}

export interface SlotHolder {
  sessionId: string;
  owner: string;
  team: string | null;
}

/** A turn that the platform, not its agent, failed; named by its turn. Goes with its session. */
export interface DeadLetterRecord {
  turnId: string;
  sessionId: string;
  code: string;
  message: string;
  attempts: number;
  failedAt: string;
  replayedAt: string | null;
  /** The turn that repeats it. */
  replayTurnId: string | null;
}

export interface DeadLetterFilter {
  sessionId?: string;
  /** As in `SessionFilter`. */
  visibleTo?: string;
  /** Only those not replayed yet. */
  waiting?: boolean;
  limit: number;
}

/** `pending`: to be tried at `nextAttemptAt`. `dead`: given up. */
export type WebhookState = 'pending' | 'delivered' | 'dead';

/** The outbox: one event to one address, written in the transaction of what it tells. */
export interface WebhookRecord {
  /** The `webhook-id`, the same at each attempt. */
  id: string;
  turnId: string;
  event: WebhookEvent;
  url: string;
  /** The body, byte for byte as it is signed. */
  payload: string;
  state: WebhookState;
  attempts: number;
  nextAttemptAt: string;
  /** How the last attempt failed. */
  lastError: string | null;
  createdAt: string;
  deliveredAt: string | null;
}

export interface SandboxRecord {
  id: string;
  sessionId: string | null;
  /** The host it lives on; `null` in what a version before hosts left. */
  hostId: string | null;
  provider: string;
  template: string;
  /** `creating` and `destroying` mark an operation that a restart must finish. */
  status: SandboxStatus | 'creating' | 'destroying';
  limits: SandboxLimits;
  /** Set while it has no session and waits, ready, for one to claim it; cleared by the claim. */
  warm: WarmState | null;
  createdAt: string;
  updatedAt: string;
}

/** What was done ahead in a warm sandbox. */
export interface WarmState {
  /** Its objects are in it, so that only a session on this repository may have it; `null`: any may. */
  repositoryUrl: string | null;
  /** The first commit of the empty workspace that a session without a repository starts from; `null`: there is none. */
  baseCommit: string | null;
}

export interface SandboxFilter {
  hostId?: string;
  statuses?: readonly SandboxRecord['status'][];
  sessionId?: string;
  /** `true`: those without a session. */
  unowned?: boolean;
}

/** A session's sandbox with what there is to know before it is put to rest. */
export interface SandboxUse {
  sessionId: string;
  sandboxId: string;
  provider: string;
  status: SandboxRecord['status'];
  idle: IdlePolicyOverride | null;
  archivedAt: string | null;
  /** Of the session, or when its open question was asked. */
  lastUsedAt: string;
  /** `asking`: a turn runs, but waits for an answer only. */
  work: 'none' | 'asking' | 'busy';
  /** It waits for an answer about its budget. */
  asksForBudget: boolean;
  /** When the first of its open questions is refused for want of an answer; `null` without one. */
  questionExpiresAt: string | null;
}

/** What a session made from a snapshot takes over from the one it was taken of. */
export type SnapshotSource = Pick<
  SessionRecord,
  | 'title'
  | 'agent'
  | 'agentArgv'
  | 'provider'
  | 'template'
  | 'repositoryUrl'
  | 'baseBranch'
  | 'branch'
  | 'baseCommit'
  | 'cwd'
  | 'limits'
  | 'env'
  | 'mcpServers'
  | 'acpSessionId'
  | 'forkAcpSessionId'
  | 'modeId'
  | 'config'
  | 'author'
  | 'permissions'
  | 'permissionPolicy'
  | 'permissionTimeoutMs'
  | 'idle'
  | 'budget'
  | 'egress'
>;

/** `creating` and `deleting` mark an operation that a restart must finish: both end with its removal. */
export type SnapshotState = 'creating' | 'ready' | 'deleting';

export interface SnapshotRecord {
  id: string;
  owner: string;
  name: string;
  state: SnapshotState;
  memory: boolean;
  /** The host that it lies on. */
  hostId: string | null;
  provider: string;
  /** What it was taken of; both may be gone. */
  sessionId: string;
  sandboxId: string;
  source: SnapshotSource;
  /** Bytes that only it holds; `null` where that is not known. */
  sizeBytes: number | null;
  createdAt: string;
}

export interface SnapshotFilter {
  hostId?: string;
  owner?: string;
  name?: string;
  sessionId?: string;
  states?: readonly SnapshotState[];
}

/** A machine with a server and the sandboxes that live there. */
export interface HostRecord {
  id: string;
  /** Where other servers reach its server; `null` when it told none. */
  address: string | null;
  slots: number;
  /** Another at each registration: a server whose epoch is no more the host's may not write. */
  epoch: number;
  /** By the database's clock; `null` for a host that has the database to itself. */
  leaseUntil: string | null;
  /** Its lease has not run out. */
  live: boolean;
  registeredAt: string;
}

export interface HostRegistration extends Pick<HostRecord, 'id' | 'address' | 'slots' | 'registeredAt'> {
  leaseMs: number | null;
}

export interface PermissionRecord {
  sessionId: string;
  requestId: string;
  turnId: string | null;
  toolCall: Record<string, unknown>;
  options: { optionId: string; name: string; kind: string }[];
  state: 'open' | 'selected' | 'cancelled' | 'expired';
  /** While it is open with `answeredBy` set: an answer that is kept until the agent can hear it. */
  optionId: string | null;
  answeredBy: string | null;
  requestedAt: string;
  expiresAt: string;
  resolvedAt: string | null;
}

export interface IdempotentResponse {
  scope: string;
  key: string;
  /** Of the request's body; a different body under one key is a `conflict`. */
  requestHash: string;
  status: number;
  body: unknown;
  createdAt: string;
}

export interface TokenRecord {
  id: string;
  name: string;
  /** The user's handle. */
  owner: string;
  /** SHA-256, hex. The token itself is never stored. */
  hash: string;
  scopes: TokenScope[];
  /** `null`: never. */
  expiresAt: string | null;
  /** At most a minute behind. */
  lastUsedAt: string | null;
  revokedAt: string | null;
  createdAt: string;
}

/** An account. `handle` is what sessions, turns and tokens name it by; it never changes. */
export interface UserRecord {
  handle: string;
  displayName: string;
  role: UserRole;
  /** While it is set none of his tokens counts. */
  disabledAt: string | null;
  createdAt: string;
}

/** An account of another service, by which a user signs in. It goes with its user. */
export interface LinkedAccountRecord {
  id: string;
  /** Who vouches: an OpenID Connect issuer, or the origin of GitHub's pages. With `subject` it is one account for good. */
  issuer: string;
  /** Never given to another account by the issuer, as a name or an address may be. */
  subject: string;
  /** The user's handle. */
  owner: string;
  /** As its holder knows it: a login or an address. */
  label: string;
  /** `rule`: the configuration let it in, and must still do so at each sign-in; `person`: its user linked it. */
  origin: 'person' | 'rule';
  createdAt: string;
  lastUsedAt: string | null;
}

/** A program that asks for a token, until somebody who is signed in has answered and it was handed out. */
export interface DeviceRequestRecord {
  /** SHA-256, hex, of what the program holds. */
  deviceHash: string;
  /** SHA-256, hex, of what the person types. */
  codeHash: string;
  /** As the program calls itself. */
  client: string;
  /** Where it asked from. */
  address: string;
  scopes: TokenScope[];
  state: 'waiting' | 'approved' | 'denied';
  /** Who answered. */
  owner: string | null;
  createdAt: string;
  expiresAt: string;
}

export interface TeamRecord {
  name: string;
  displayName: string;
  createdAt: string;
}

export interface TeamMemberRecord {
  team: string;
  member: string;
  role: TeamRole;
}

export interface ShareSubject {
  kind: 'user' | 'team';
  /** Handle or name. */
  name: string;
}

/** What others than its owner and its team may do with a session. Goes with it. */
export interface SessionShareRecord {
  sessionId: string;
  subject: ShareSubject;
  rights: ShareRight[];
  /** Who shared it. */
  by: string;
  createdAt: string;
}

export interface RepositoryRecord {
  id: string;
  /** Clone URL without credentials, the key. */
  url: string;
  forge: 'github' | null;
  owner: string | null;
  name: string | null;
  installationId: number | null;
  settings: RepositorySettings;
  createdAt: string;
}

/** What starts a task, and with what. */
export interface RepositorySettings {
  triggers: { label: string | null; mention: string | null; assignee: boolean };
  agent: string | null;
  template: string | null;
  baseBranch: string | null;
  /** Rules for what agents ask in its sessions; absent or `null`: none. */
  permissionPolicy?: PermissionPolicy | null | undefined;
}

export interface GithubAppRecord {
  appId: number;
  slug: string;
  name: string;
  clientId: string;
  /** Sealed by the server's key; see `core/ports/secrets.ts`. */
  sealedPrivateKey: string;
  sealedWebhookSecret: string;
  sealedClientSecret: string | null;
  apiUrl: string;
  htmlUrl: string;
  createdAt: string;
}

/** See `core/tasks/advance-task.ts` for what each state means and leads to. */
export type TaskState = 'accepted' | 'working' | 'publishing' | 'waiting' | 'failed';

export interface TaskRecord {
  id: string;
  repositoryId: string;
  issueNumber: number;
  pullNumber: number | null;
  sessionId: string | null;
  state: TaskState;
  /** The one comment that is edited as work goes on. */
  commentId: number | null;
  /** The turn being worked for, and what asked for it. */
  turnId: string | null;
  trigger: TaskTrigger;
  /** What was asked for meanwhile, oldest first; each becomes a turn of its own after this one is published. */
  pending: TaskTrigger[];
  /** The commit that was last pushed. */
  pushedCommit: string | null;
  error: EventError | null;
  createdAt: string;
  updatedAt: string;
}

export interface TaskTrigger {
  /** `request`: asked through the API, not said on the forge. */
  kind: 'issue' | 'issue_comment' | 'review_comment' | 'review' | 'request';
  id: number;
  /** Where it was said: the issue's number or the pull request's. */
  number: number;
  /** Who said it, with an address that the forge knows them by; of a `request` a user of Berth, with none. */
  login: string;
  author: { name: string; email: string };
  /** What they said; hostile text, but for a `request`. */
  text: string;
  /** What brought it; a repetition that is wanted comes by another. */
  deliveryId: string;
}

export type DeliveryState = 'received' | 'done' | 'ignored' | 'failed';

export interface DeliveryRecord {
  id: string;
  event: string;
  state: DeliveryState;
  /** Why it was ignored, or how it failed. */
  reason: string | null;
  payload: unknown;
  receivedAt: string;
  attempts: number;
}
