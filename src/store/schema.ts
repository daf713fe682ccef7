import type { Generated } from 'kysely';

/**
 * The tables, the same on every engine. `id` below is text compared byte by byte (ULIDs sort by age),
 * `big` a 64-bit integer read as a JavaScript number, `json` text: it is never queried inside, it keeps
 * what an agent sent (a NUL escape included, which Postgres's `jsonb` refuses), and is checked when read.
 * Times are ISO 8601 text in UTC with milliseconds, so they sort as text.
 *
 * | table | key | refers to | more |
 * |---|---|---|---|
 * | sessions | id | | |
 * | journals | session_id, journal_id | sessions (cascade) | how far each journal was imported |
 * | turns | ordinal (order of insertion) | sessions (cascade) | unique id; unique session_id + idempotency_key; one turn in `starting` or `running` per session |
 * | events | session_id, seq | sessions (cascade) | append-only: triggers refuse UPDATE, and DELETE while the session exists |
 * | permissions | session_id, request_id | sessions (cascade) | |
 * | sandboxes | id | sessions (null on delete) | |
 * | snapshots | id | | unique owner + name; outlive their session |
 * | idempotent_responses | scope, key | | |
 * | tokens | id | | unique hash |
 * | users | handle | | |
 * | teams | name | | |
 * | team_members | team, member | teams, users (cascade) | |
 * | session_shares | session_id, subject_kind, subject | sessions (cascade) | `subject` is a user or a team |
 * | repositories | id | | unique url |
 * | github_app | singleton = 1 | | at most one row |
 * | tasks | id | repositories; sessions, turns (null on delete) | unique repository + issue, repository + pull request, session |
 * | deliveries | ordinal (order of arrival) | | unique id |
 * | hosts | id | | |
 * | linked_accounts | id | users (cascade) | unique issuer + subject |
 * | device_requests | device_hash | users (cascade) | unique code_hash; a few minutes each |
 * | secrets | id | users, teams (cascade) | of one of the two; unique name for each |
 * | installation | singleton = 1 | | at most one row |
 * | dead_letters | turn_id | turns (cascade) | |
 * | egress_decisions | session_id, host, port, allowed | sessions (cascade) | one row per host and answer, with a count |
 * | model_usage | session_id, turn_id, api, model, day | | sums, with the last call in each; outlive their session |
 * | turn_usage | turn_id | | outlive their session |
 * | data_keys | id | | wrapped; what secrets are sealed with |
 * | model_keys | id | | unique scope + subject + name |
 * | user_budgets | user_id | | |
 * | budget_raises | scope, subject, day, measure | | what people added to a limit |
 * | quotas | kind, name | | goes with its user or team |
 * | audit | seq | | append-only: triggers refuse UPDATE and DELETE; each entry has the hash of the one before; outlives what it tells of |
 * | audit_head | singleton = 1 | | exactly one row: the number and hash of the last entry of `audit` |
 * | webhooks | id | | outlive their session: what happened is still told |
 *
 * `turn_id` in events and permissions is no foreign key: a log is never rewritten, and both go with
 * their session. `sandbox_id` in sessions is none either, since a session and its sandbox name each
 * other; deleting a sandbox clears it.
 */
export interface Database {
  sessions: SessionsTable;
  journals: JournalsTable;
  turns: TurnsTable;
  events: EventsTable;
  permissions: PermissionsTable;
  sandboxes: SandboxesTable;
  snapshots: SnapshotsTable;
  idempotent_responses: IdempotentResponsesTable;
  tokens: TokensTable;
  users: UsersTable;
  linked_accounts: LinkedAccountsTable;
  device_requests: DeviceRequestsTable;
  secrets: SecretsTable;
  teams: TeamsTable;
  team_members: TeamMembersTable;
  session_shares: SessionSharesTable;
  repositories: RepositoriesTable;
  github_app: GithubAppTable;
  tasks: TasksTable;
  deliveries: DeliveriesTable;
  dead_letters: DeadLettersTable;
  webhooks: WebhooksTable;
  hosts: HostsTable;
  audit: AuditTable;
  audit_head: AuditHeadTable;
  installation: InstallationTable;
  egress_decisions: EgressDecisionsTable;
  model_usage: ModelUsageTable;
  turn_usage: TurnUsageTable;
  user_budgets: UserBudgetsTable;
  budget_raises: BudgetRaisesTable;
  quotas: QuotasTable;
  data_keys: DataKeysTable;
  model_keys: ModelKeysTable;
}

export interface ModelUsageTable {
  session_id: string;
  /** Empty outside turns. */
  turn_id: string;
  owner: string;
  api: string;
  model: string;
  day: string;
  calls: number;
  estimated_calls: number;
  unpriced_calls: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  cost_nanos: number;
  last_call_id: string;
  first_at: string;
  last_at: string;
}

export interface TurnUsageTable {
  turn_id: string;
  session_id: string;
  owner: string;
  day: string;
  active_ms: number;
}

export interface QuotasTable {
  kind: string;
  name: string;
  /** JSON. */
  quota: string;
  updated_at: string;
}

export interface UserBudgetsTable {
  user_id: string;
  /** JSON. */
  budget: string;
  updated_at: string;
}

export interface DataKeysTable {
  id: string;
  wrapper: string;
  wrapped: string;
  created_at: string;
  retired_at: string | null;
}

export interface ModelKeysTable {
  id: string;
  scope: string;
  /** A user or a team; empty for the server's. */
  subject: string;
  name: string;
  api: string;
  base_url: string | null;
  kind: string;
  /** JSON, sealed. */
  sealed: string;
  expires_at: string | null;
  token_url: string | null;
  client_id: string | null;
  renewing_until: string | null;
  created_at: string;
  updated_at: string;
}

export interface BudgetRaisesTable {
  scope: string;
  subject: string;
  /** Empty where the limit is not for a day. */
  day: string;
  measure: string;
  amount: number;
}

export interface EgressDecisionsTable {
  session_id: string;
  host: string;
  port: number;
  /** 0 or 1. */
  allowed: number;
  reason: string;
  count: number;
  first_at: string;
  last_at: string;
}

export interface SessionsTable {
  id: string;
  owner: string;
  team: string | null;
  title: string;
  status: string;
  status_reason: string | null;
  agent: string;
  agent_argv: string | null;
  provider: string;
  template: string;
  sandbox_id: string | null;
  forked_from: string | null;
  repository_url: string | null;
  base_branch: string | null;
  branch: string | null;
  base_commit: string | null;
  cwd: string;
  limits: string;
  env: string;
  egress: string | null;
  placement: string | null;
  permission_policy: string | null;
  mcp_servers: string;
  acp_session_id: string | null;
  mode_id: string | null;
  config: string;
  author: string | null;
  permissions: string;
  permission_timeout_ms: number;
  last_seq: number;
  log_bytes: Generated<number>;
  log_bytes_at_turn: Generated<number>;
  journal_id: string | null;
  journal_seq: number;
  deleting_at: string | null;
  fork_acp_session_id: string | null;
  idle: string | null;
  /** JSON. */
  budget: string | null;
  last_used_at: string | null;
  archived_at: string | null;
  created_at: string;
  updated_at: string;
}

export interface HostsTable {
  id: string;
  address: string | null;
  slots: number;
  epoch: number;
  lease_until: string | null;
  registered_at: string;
}

export interface InstallationTable {
  singleton: number;
  key_check: string;
}

export interface JournalsTable {
  session_id: string;
  journal_id: string;
  seq: number;
}

export interface TurnsTable {
  ordinal: Generated<number>;
  id: string;
  session_id: string;
  idempotency_key: string | null;
  state: string;
  prompt: string;
  by: string;
  priority: number;
  webhook_url: string | null;
  webhook_events: string;
  cancel_requested_at: string | null;
  attempts: number;
  retry_at: string | null;
  claimed_at: string | null;
  host_id: string | null;
  estimated_wait_ms: number | null;
  queue_position: number | null;
  stop_reason: string | null;
  usage: string | null;
  error: string | null;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface EventsTable {
  session_id: string;
  seq: number;
  at: string;
  turn_id: string | null;
  type: string;
  data: string;
}

export interface PermissionsTable {
  session_id: string;
  request_id: string;
  turn_id: string | null;
  tool_call: string;
  options: string;
  state: string;
  option_id: string | null;
  answered_by: string | null;
  requested_at: string;
  expires_at: string;
  resolved_at: string | null;
}

export interface SandboxesTable {
  id: string;
  session_id: string | null;
  host_id: string | null;
  provider: string;
  template: string;
  status: string;
  limits: string;
  /** JSON; set while it is ready for a session to claim. */
  warm: string | null;
  created_at: string;
  updated_at: string;
}

export interface SnapshotsTable {
  id: string;
  owner: string;
  name: string;
  state: string;
  memory: number;
  host_id: string | null;
  provider: string;
  session_id: string;
  sandbox_id: string;
  source: string;
  size_bytes: number | null;
  created_at: string;
}

export interface IdempotentResponsesTable {
  scope: string;
  key: string;
  request_hash: string;
  status: number;
  body: string;
  created_at: string;
}

export interface TokensTable {
  id: string;
  name: string;
  owner: string;
  hash: string;
  /** JSON; NULL in what a version before scopes left: all. */
  scopes: string | null;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
  created_at: string;
}

export interface SecretsTable {
  id: string;
  user: string | null;
  team: string | null;
  name: string;
  hosts: string;
  header: string;
  template: string;
  sealed: string;
  created_at: string;
  updated_at: string;
}

export interface UsersTable {
  handle: string;
  display_name: string;
  role: string;
  disabled_at: string | null;
  created_at: string;
}

export interface LinkedAccountsTable {
  id: string;
  issuer: string;
  subject: string;
  owner: string;
  label: string;
  origin: string;
  created_at: string;
  last_used_at: string | null;
}

export interface DeviceRequestsTable {
  device_hash: string;
  code_hash: string;
  client: string;
  address: string;
  /** JSON. */
  scopes: string;
  state: string;
  owner: string | null;
  created_at: string;
  expires_at: string;
}

export interface TeamsTable {
  name: string;
  display_name: string;
  created_at: string;
}

export interface TeamMembersTable {
  team: string;
  member: string;
  role: string;
}

export interface SessionSharesTable {
  session_id: string;
  subject_kind: string;
  subject: string;
  /** JSON. */
  rights: string;
  by: string;
  created_at: string;
}

export interface RepositoriesTable {
  id: string;
  url: string;
  forge: string | null;
  owner: string | null;
  name: string | null;
  installation_id: number | null;
  settings: string;
  created_at: string;
}

export interface GithubAppTable {
  singleton: number;
  app_id: number;
  slug: string;
  name: string;
  client_id: string;
  sealed_private_key: string;
  sealed_webhook_secret: string;
  sealed_client_secret: string | null;
  api_url: string;
  html_url: string;
  created_at: string;
}

export interface TasksTable {
  id: string;
  repository_id: string;
  issue_number: number;
  pull_number: number | null;
  session_id: string | null;
  state: string;
  comment_id: number | null;
  turn_id: string | null;
  trigger: string;
  pending: string;
  pushed_commit: string | null;
  error: string | null;
  created_at: string;
  updated_at: string;
}

export interface DeliveriesTable {
  ordinal: Generated<number>;
  id: string;
  event: string;
  state: string;
  reason: string | null;
  payload: string;
  received_at: string;
  attempts: number;
}

export interface DeadLettersTable {
  turn_id: string;
  session_id: string;
  code: string;
  message: string;
  attempts: number;
  failed_at: string;
  replayed_at: string | null;
  replay_turn_id: string | null;
}

export interface WebhooksTable {
  id: string;
  turn_id: string;
  event: string;
  url: string;
  payload: string;
  state: string;
  attempts: number;
  next_attempt_at: string;
  last_error: string | null;
  created_at: string;
  delivered_at: string | null;
}

export interface AuditTable {
  seq: number;
  at: string;
  actor: string;
  action: string;
  target: string | null;
  session_id: string | null;
  detail: string;
  prev_hash: string;
  hash: string;
}

export interface AuditHeadTable {
  singleton: number;
  seq: number;
  hash: string;
}
