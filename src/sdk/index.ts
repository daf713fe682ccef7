/** Berth's client library: everything a program needs to use a Berth server. */
export { createBerthClient } from './client.ts';
export type { BerthClient, BerthClientOptions, DoctorFinding, PromptInput } from './client.ts';
export { parseExit } from './attached-process.ts';
export type { AttachedProcess, ProcessExit } from './attached-process.ts';
export type { ForwardedConnection } from './forwarded-connection.ts';
export type { EventsOptions } from './session-events.ts';
export type { AuditQuery, AuditResource } from './resources/audit.ts';
export type { DeadLettersResource, ListDeadLettersOptions } from './resources/dead-letters.ts';
export type { CallOptions, FilesResource, WriteOptions } from './resources/files.ts';
export type { AttachOptions, ProcessesResource } from './resources/processes.ts';
export type { HostsResource } from './resources/hosts.ts';
export type { GithubResource } from './resources/github.ts';
export type { ExecOutput, ListSessionsOptions, SessionsResource } from './resources/sessions.ts';
export type { AccountsResource } from './resources/accounts.ts';
export type { DevicesResource } from './resources/devices.ts';
export type { SharesResource } from './resources/shares.ts';
export type { TemplatesResource } from './resources/templates.ts';
export type { TemplateJob, TemplateJobEvent, TemplateView } from '../protocol/templates-api.ts';
export type { TeamsResource } from './resources/teams.ts';
export type { AddTokenInput, AddUserInput, TokensResource, UsersResource } from './resources/users.ts';
export type { SnapshotsResource } from './resources/snapshots.ts';
export type { Fetch, RequestBody } from './transport.ts';
export { BerthError, errorTable, isErrorCode } from '../protocol/errors.ts';
export type { ErrorBody, ErrorCode } from '../protocol/errors.ts';
export { frameType } from '../protocol/frames.ts';
export type { Frame, FrameType } from '../protocol/frames.ts';
export type {
  Admission,
  AgentInfo,
  CreateSessionInput,
  CreateTurnInput,
  DeadLetter,
  ExecInput,
  Host,
  IdleTimes,
  ProcessInput,
  Priority,
  PoolOverview,
  QueueOverview,
  SandboxUsage,
  ServerHealth,
  Session,
  SessionDiff,
  Snapshot,
  Turn,
  UpdateSessionRequest,
  WebhookEvent,
  WebhookPayload,
} from '../protocol/api.ts';
export type { AuditEntry, AuditPage, AuditVerdict } from '../protocol/audit.ts';
export type { BudgetsResource } from './resources/budgets.ts';
export type { BudgetLimits, BudgetState, SessionBudgetView, UserBudget, UserBudgetView } from '../protocol/budget.ts';
export type { LinkedAccount, SignInChoices } from '../protocol/sign-in-api.ts';
export type { DeviceAnswer, DeviceRequest, DeviceStart } from '../protocol/device-api.ts';
export type { QuotasResource } from './resources/quotas.ts';
export type { Quota, QuotaView } from '../protocol/quota.ts';
export type { QuotaSubject } from '../protocol/quota-subject.ts';
export type { KeysResource } from './resources/keys.ts';
export type { CreateKeyInput, ModelKeyView, Rotation } from '../protocol/keys.ts';
export type { UsageResource, UsageRequest } from './resources/usage.ts';
export type { UsageDimension, UsageReport, UsageRow, UsageTotals } from '../protocol/usage.ts';
export type {
  BranchState,
  GithubStatus,
  OpenedPull,
  OpenPullRequest,
  Repository,
  RepositoryChange,
  SetupLink,
  Task,
} from '../protocol/forge-api.ts';
export type { PermissionOption, SessionEvent, SessionEventType, SessionStatus } from '../protocol/events.ts';
export type {
  Account,
  AddedToken,
  AddedUser,
  SessionPermission,
  Share,
  ShareRight,
  Team,
  TeamRole,
  Token,
  TokenScope,
  User,
  UserRole,
} from '../protocol/users-api.ts';
export type { FileChange, FileInfo, PortInfo, ProcessInfo } from '../protocol/runner-api.ts';
export type { PermissionPolicy, PermissionPolicyView, SetPermissionPolicyRequest } from '../protocol/permission-policy.ts';
