import { z } from 'zod';
import { slotQuota } from './quota-subject.ts';
import { budgetLimits } from './budget.ts';
import { egressPolicy } from './egress.ts';
import { permissionMode, permissionPolicy } from './permission-policy.ts';
import { prompt } from './content.ts';
import { sessionStatus, turnOutcome } from './events.ts';
import { absolutePath, execResult, fileInfo, mcpServer, portInfo, processInfo } from './runner-api.ts';

/**
 * The public HTTP API under `/api`. Requests carry `authorization: Bearer <token>`. Failures have
 * the shape of `ErrorBody`. The served OpenAPI document is made from these schemas.
 */

export const limits = z.object({
  cpus: z.number().min(0.1).max(256).optional(),
  memoryBytes: z.number().int().min(64 * 1024 * 1024).max(1024 ** 4).optional(),
  pids: z.number().int().min(16).max(100_000).optional(),
  diskBytes: z.number().int().min(16 * 1024 * 1024).max(64 * 1024 ** 4).optional(),
});

const environment = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'names of letters, digits and _'), z.string().max(32_768))
  .refine((env) => !Object.keys(env).some((name) => name.startsWith('BERTH_')), 'names starting BERTH_ are reserved');

const promptInput = z.union([z.string().min(1).max(1_000_000), prompt]);
const idempotencyKey = z.string().min(1).max(200);

/** Ten years: what is meant to be never is `null`. */
const restSeconds = z.number().int().min(1).max(10 * 365 * 86_400).nullable().optional();

/**
 * After how long without use a session is put to rest; `null`: never; absent: as the pool says. Each step later than
 * the one before. At `archiveSeconds` it is archived, or destroyed, as `lastStep` says.
 */
export const idleTimes = z.strictObject({
  pauseSeconds: restSeconds,
  hibernateSeconds: restSeconds,
  archiveSeconds: restSeconds,
  /** Counted from when its agent asked; the question stays open, and answerable. */
  askingHibernateSeconds: restSeconds,
  lastStep: z.enum(['archive', 'destroy']).optional(),
});
export type IdleTimes = z.infer<typeof idleTimes>;

export const createSessionRequest = z.strictObject({
  /** Clone URL (http, https; a local path only from the machine's own CLI); absent: an empty workspace. */
  repository: z.string().min(1).max(2048).optional(),
  /** The branch to start from; default the repository's own default. */
  branch: z.string().min(1).max(255).optional(),
  /** The session's own branch; default `berth/<id>`. */
  workBranch: z.string().min(1).max(255).optional(),
  agent: z.string().min(1).max(100).default('claude'),
  /** Command line of any other ACP agent; `agent` is then only its name. */
  agentCommand: z.array(z.string().min(1)).min(1).max(100).optional(),
  title: z.string().max(300).optional(),
  /** Whose members may use it. The caller must be in it, as more than a viewer. */
  team: z.string().min(1).max(100).optional(),
  /** By name; the server's policy may not allow it. Default: by that policy. */
  provider: z.string().max(100).optional(),
  /** What the policy that chooses the provider may go by, as an issue's labels. */
  labels: z.array(z.string().min(1).max(100)).max(50).optional(),
  /** What its provider must have; the session is refused where none has. */
  needs: z.strictObject({ gpu: z.boolean().optional(), residency: z.string().min(1).max(100).optional() }).optional(),
  template: z.string().max(200).optional(),
  limits: limits.optional(),
  env: environment.optional(),
  mcpServers: z.array(mcpServer).max(50).optional(),
  model: z.string().min(1).max(200).optional(),
  mode: z.string().min(1).max(200).optional(),
  author: z.object({ name: z.string().min(1).max(200), email: z.email() }).optional(),
  /** Where it may connect to. Default: the server's policy, package registries and code hosts unless set. */
  egress: egressPolicy.optional(),
  /** Who answers what its agent asks: rules and a person for the rest, always a person, or nobody. Default: the server's, rules unless set. */
  permissions: permissionMode.optional(),
  /** Rules of its own, before those of its repository and the server. */
  permissionPolicy: permissionPolicy.optional(),
  /** How long a permission request waits for a person before it is refused. Default one day. */
  permissionTimeoutSeconds: z.number().int().min(1).max(30 * 86_400).optional(),
  idle: idleTimes.optional(),
  /** Limits of its own; where one is reached a person is asked. */
  budget: budgetLimits.optional(),
});
export type CreateSessionRequest = z.infer<typeof createSessionRequest>;
export type CreateSessionInput = z.input<typeof createSessionRequest>;

export const updateSessionRequest = z
  .strictObject({
    title: z.string().max(300).optional(),
    /** Takes the place of what it had; `null`: the pool's alone. */
    idle: idleTimes.nullable().optional(),
    /** Takes the place of what it had; `null`: its user's and the server's alone. */
    budget: budgetLimits.nullable().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'name what is to change: title, idle, budget');
export type UpdateSessionRequest = z.infer<typeof updateSessionRequest>;

export const session = z.object({
  id: z.string(),
  owner: z.string(),
  /** `null`: it is personal. */
  team: z.string().nullable(),
  title: z.string(),
  status: sessionStatus,
  statusReason: z.string().nullable(),
  agent: z.string(),
  provider: z.string(),
  /** Why on this one; `null` where that was not recorded. */
  providerReason: z.string().nullable(),
  template: z.string(),
  sandboxId: z.string().nullable(),
  /** The host that the sandbox lives on. */
  hostId: z.string().nullable(),
  /** The session it was forked from. */
  forkedFrom: z.string().nullable(),
  repository: z.string().nullable(),
  baseBranch: z.string().nullable(),
  branch: z.string().nullable(),
  cwd: z.string(),
  limits: z.object({ cpus: z.number(), memoryBytes: z.number(), pids: z.number(), diskBytes: z.number() }),
  modeId: z.string().nullable(),
  config: z.record(z.string(), z.union([z.string(), z.boolean()])),
  lastSeq: z.number().int(),
  /** Its own times of rest; `null`: the pool's. */
  idle: idleTimes.nullable(),
  /** Its own limits; `null`: its user's and the server's alone. */
  budget: budgetLimits.nullable(),
  /** At most half a minute behind. */
  lastUsedAt: z.iso.datetime(),
  /** It was put away: processes ended, disk kept. The next use takes it out again. */
  archivedAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Session = z.infer<typeof session>;

export const turn = z.object({
  id: z.string(),
  sessionId: z.string(),
  state: z.enum(['queued', 'starting', 'running', 'completed', 'cancelled', 'failed']),
  by: z.string(),
  stopReason: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
});
export type Turn = z.infer<typeof turn>;

/** What a webhook tells: the runner has the turn, or it has ended. */
export const webhookEvent = z.enum(['turn.started', 'turn.completed', 'turn.failed', 'turn.cancelled']);
export type WebhookEvent = z.infer<typeof webhookEvent>;

export const priority = z.enum(['premium', 'normal', 'background']);
export type Priority = z.infer<typeof priority>;

export const createTurnRequest = z.strictObject({
  prompt: promptInput,
  /** Default: the user's own, by the server's settings; else `normal`. */
  priority: priority.optional(),
  /** Gets a signed webhook when the turn starts; see `webhookPayload`. */
  webhookOnReady: z.url({ protocol: /^https?$/ }).max(2048).optional(),
  /** What else that address is told. Default `turn.started` alone. */
  webhookEvents: z.array(webhookEvent).max(webhookEvent.options.length).optional(),
  /** Or the header `Idempotency-Key`. */
  idempotencyKey: idempotencyKey.optional(),
});
export type CreateTurnRequest = z.infer<typeof createTurnRequest>;
export type CreateTurnInput = z.input<typeof createTurnRequest>;

/** Prompt an existing session, or a new one made from the other fields. */
export const promptRequest = createSessionRequest
  .extend(createTurnRequest.shape)
  .extend({
    agent: z.string().min(1).max(100).optional(),
    permissions: permissionMode.optional(),
    sessionId: z.string().optional(),
  });
export type PromptRequest = z.infer<typeof promptRequest>;

/** The answer to a prompt: where it stands now. */
export const admission = z.object({
  sessionId: z.string(),
  turnId: z.string(),
  status: z.enum(['queued', 'starting', 'running', 'completed', 'cancelled', 'failed']),
  /** 0 when it does not wait; 1 is next. */
  queuePosition: z.number().int().nonnegative(),
  estimatedWaitSeconds: z.number().nonnegative(),
  message: z.string(),
  webhookOnReady: z.string().nullable(),
});
export type Admission = z.infer<typeof admission>;

/**
 * The body of a webhook. Signed by the Standard Webhooks scheme (standardwebhooks.com): headers `webhook-id`,
 * the same at each attempt; `webhook-timestamp`; `webhook-signature`, by the secret of `GET /api/webhooks/secret`.
 * Any 2xx takes it; 410 ends the attempts; redirects are not followed.
 */
export const webhookPayload = z.object({
  type: webhookEvent,
  timestamp: z.iso.datetime(),
  data: z.object({
    sessionId: z.string(),
    turnId: z.string(),
    queuedAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
    stopReason: z.string().nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
  }),
});
export type WebhookPayload = z.infer<typeof webhookPayload>;

export const webhookSecret = z.object({ secret: z.string().startsWith('whsec_') });

export const queueOverview = z.object({
  /** Of the hosts that are up. */
  slots: z.number().int().nonnegative(),
  /** Turns that hold a slot. */
  running: z.number().int().nonnegative(),
  /** In the order in which they are expected to start. */
  queued: z.array(
    z.object({
      turnId: z.string(),
      sessionId: z.string(),
      owner: z.string(),
      priority,
      /** 0 when a slot is being given to it; 1 is next. */
      position: z.number().int().nonnegative(),
      estimatedWaitSeconds: z.number().nonnegative(),
      waitedSeconds: z.number().nonnegative(),
      /** It failed for a passing reason and is tried again then. */
      retryAt: z.iso.datetime().nullable(),
      /** The host that has its session's sandbox, when that is away: the turn goes on when it returns, or is forgotten. */
      away: z.string().nullable(),
      /** It waits though slots are free: its owner, or its team, has as many as this quota allows. */
      quota: slotQuota.nullable(),
    }),
  ),
  /** How far the estimates given at admission were from the waits, over the turns that last had one. */
  estimate: z.object({ meanAbsoluteErrorSeconds: z.number().nullable(), count: z.number().int() }),
});
export type QueueOverview = z.infer<typeof queueOverview>;

/** A machine with a server and the sandboxes that live there. */
export const host = z.object({
  id: z.string(),
  /** Where other servers reach its server. */
  address: z.string().nullable(),
  slots: z.number().int(),
  /** Slots that are taken. */
  used: z.number().int(),
  /** Its lease has not run out. */
  live: z.boolean(),
  /** By the database's clock; `null` for a host that has the database to itself. */
  leaseUntil: z.string().nullable(),
  /** It is the one that answers. */
  own: z.boolean(),
});
export type Host = z.infer<typeof host>;
export const poolOverview = z.object({
  /** Where warm sandboxes are, and sessions that nothing places elsewhere. */
  provider: z.string(),
  /** All that the server has; its slots are shared by them. */
  providers: z.array(z.string()),
  slots: z.number().int().positive(),
  /** Slots that sessions hold, at work or not. */
  used: z.number().int().nonnegative(),
  /** Turns that wait for a slot. */
  waiting: z.number().int().nonnegative(),
  warm: z.object({
    /** As many as settings and free slots allow. */
    wanted: z.number().int().nonnegative(),
    ready: z.number().int().nonnegative(),
    making: z.number().int().nonnegative(),
    /** Why none is made although some are missing. */
    held: z.string().nullable(),
  }),
  /** First sandboxes of sessions since the server started: taken warm, or made when they were needed. */
  claims: z.object({ warm: z.number().int(), cold: z.number().int() }),
  /** Sandboxes put to rest since then because their slot was needed. */
  evictions: z.number().int(),
  /** How many sandboxes there are, by status. */
  sandboxes: z.record(z.string(), z.number().int()),
  estimate: queueOverview.shape.estimate,
});
export type PoolOverview = z.infer<typeof poolOverview>;

/** A turn that the platform failed, named by its turn. */
export const deadLetter = z.object({
  turnId: z.string(),
  sessionId: z.string(),
  code: z.string(),
  message: z.string(),
  attempts: z.number().int(),
  failedAt: z.iso.datetime(),
  replayedAt: z.iso.datetime().nullable(),
  replayTurnId: z.string().nullable(),
});
export type DeadLetter = z.infer<typeof deadLetter>;

export const permissionAnswerRequest = z.strictObject({ optionId: z.string().min(1).max(500).nullable() });
export const restRequest = z.strictObject({ step: z.enum(['pause', 'hibernate', 'stop', 'archive']) });
export const forkRequest = z.strictObject({ count: z.number().int().min(1).max(16).default(1) });

/** Letters, digits and `._-`, from a letter or digit on; not the shape of an id. */
const snapshotName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits, ".", "_" and "-", at most 100, beginning with a letter or digit')
  .refine((name) => !name.startsWith('snp_'), 'a name cannot begin with snp_, as ids do');

export const createSnapshotRequest = z.strictObject({
  name: snapshotName,
  /** With its processes, where the provider can; else the disk alone. */
  memory: z.boolean().default(false),
});
export type CreateSnapshotRequest = z.infer<typeof createSnapshotRequest>;

export const snapshot = z.object({
  id: z.string(),
  /** Unique among the owner's. */
  name: z.string(),
  owner: z.string(),
  /** What it was taken of, which may be gone. */
  sessionId: z.string(),
  title: z.string(),
  agent: z.string(),
  repository: z.string().nullable(),
  branch: z.string().nullable(),
  provider: z.string(),
  memory: z.boolean(),
  /** Bytes that only it holds; `null` where that is not known. */
  sizeBytes: z.number().nullable(),
  createdAt: z.iso.datetime(),
});
export type Snapshot = z.infer<typeof snapshot>;

export const modeRequest = z.strictObject({ modeId: z.string().min(1).max(200) });
export const modelRequest = z.strictObject({ model: z.string().min(1).max(200) });
export const configRequest = z.strictObject({
  configId: z.string().min(1).max(200),
  value: z.union([z.string().max(1000), z.boolean()]),
});

export const execInput = z.strictObject({
  argv: z.array(z.string()).min(1).max(4096),
  cwd: absolutePath.optional(),
  env: environment.optional(),
  stdin: z.base64().max(8_000_000).optional(),
  timeoutMs: z.number().int().positive().max(3_600_000).optional(),
});
export type ExecInput = z.infer<typeof execInput>;

export const processInput = z.strictObject({
  argv: z.array(z.string()).min(1).max(4096),
  cwd: absolutePath.optional(),
  env: environment.optional(),
  pty: z.object({ cols: z.number().int().min(1).max(1000), rows: z.number().int().min(1).max(1000) }).optional(),
  stdin: z.boolean().optional(),
});
export type ProcessInput = z.infer<typeof processInput>;

export const diffFile = z.object({
  path: z.string(),
  /** Path before a rename. */
  from: z.string().nullable(),
  status: z.enum(['added', 'modified', 'removed', 'renamed']),
  additions: z.number().nullable(),
  deletions: z.number().nullable(),
});
export const sessionDiff = z.object({
  baseCommit: z.string().nullable(),
  files: z.array(diffFile),
  /** Unified diff of everything since the base: commits, uncommitted and untracked files. */
  patch: z.string(),
  truncated: z.boolean(),
});
export type SessionDiff = z.infer<typeof sessionDiff>;

export const agentInfo = z.object({
  name: z.string(),
  title: z.string(),
  model: z.enum(['anthropic', 'openai', 'gemini', 'none']),
  /** The caller's own sessions have a key for its model, or it needs none. */
  hasKey: z.boolean(),
  installed: z.boolean(),
});
export type AgentInfo = z.infer<typeof agentInfo>;

export const serverHealth = z.object({
  status: z.literal('ok'),
  version: z.string(),
  provider: z.string(),
});
export type ServerHealth = z.infer<typeof serverHealth>;

export const finding = z.object({
  subject: z.string(),
  status: z.enum(['ok', 'degraded', 'missing']),
  detected: z.string(),
  choice: z.string(),
  advice: z.string().nullable(),
});

export const sandboxUsage = z.object({
  sandboxId: z.string(),
  limits: session.shape.limits,
  memoryBytes: z.number(),
  privateMemoryBytes: z.number().nullable(),
  cpuTimeMs: z.number(),
  pids: z.number(),
  diskBytes: z.number(),
  /** Of a full network, since it was last connected. Absent: it has none. */
  connections: z.object({ asked: z.number(), refused: z.number() }).optional(),
});
export type SandboxUsage = z.infer<typeof sandboxUsage>;

/**
 * Routes. `S` is `/api/sessions/:id`.
 *
 * | route | body -> answer |
 * |---|---|
 * | GET /api/health (no token) | -> `serverHealth` |
 * | GET /api/openapi.json (no token) | the OpenAPI document |
 * | GET /api/agents | -> `{ agents: agentInfo[] }` |
 * | GET /api/doctor | -> `{ findings: finding[] }` |
 * | POST /api/sessions | `createSessionRequest` -> 201 `session` |
 * | GET /api/sessions?status=&archived=&before=&limit= | -> `{ sessions: session[] }` newest first |
 * | GET, PATCH, DELETE S | -> `session`; `updateSessionRequest` -> `session`; -> 204 when the sandbox is gone too |
 * | POST S/turns | `createTurnRequest` -> 202 `admission` |
 * | GET S/turns, S/turns/:turnId?waitSeconds= | -> `{ turns }`, `turn` (waits until it ends, at most 60 s) |
 * | POST S/turns/:turnId/cancel | -> 202 `turn`: cancelled at whatever stage it is; others go on |
 * | GET /api/queue | -> `queueOverview` |
 * | GET /api/hosts | -> `{ hosts: host[] }` |
 * | DELETE /api/hosts/:id | -> 204; its sessions start again from their base commit; `conflict` for one that is up |
 * | GET /api/pool | -> `poolOverview` |
 * | GET /api/metrics | the same for Prometheus, as text |
 * | GET /api/dead-letters?session=&waiting=&limit= | -> `{ deadLetters: deadLetter[] }` newest first |
 * | POST /api/dead-letters/:turnId/replay | -> 202 `admission` of a new turn with the same prompt; again: of the same turn |
 * | GET /api/webhooks/secret | -> `webhookSecret`; the machine's owner only |
 * | POST /api/session/prompt | `promptRequest` -> 202 `admission` |
 * | GET S/events?from=SEQ | SSE: `id: seq`, `data: sessionEvent`; `Last-Event-ID` counts as `from`; comment lines as heartbeat |
 * | GET S/log?from=&limit= | -> `{ events: sessionEvent[] }` |
 * | GET S/stream?from=SEQ (WebSocket) | text messages, each one `sessionEvent`; the client may send `{ "type": "permission", "requestId", "optionId" }`, `{ "type": "interrupt" }`, `{ "type": "prompt", "prompt", "idempotencyKey" }` and gets `{ "type": "reply", "to", ... }` |
 * | POST S/permissions/:requestId | `permissionAnswerRequest` -> 204 |
 * | POST S/rest | `restRequest` -> `session`; any access wakes it again |
 * | POST S/wake | -> `session`, once its sandbox runs |
 * | POST S/fork | `forkRequest` -> 201 `{ sessions }`: own disk, own branch, the conversation so far |
 * | POST S/snapshots | `createSnapshotRequest` -> 201 `snapshot`; the session goes on |
 * | GET /api/snapshots?session= | -> `{ snapshots: snapshot[] }` newest first |
 * | GET, DELETE /api/snapshots/:snapshot | by id, or by your name for it -> `snapshot`; -> 204 |
 * | POST /api/snapshots/:snapshot/fork | `forkRequest` -> 201 `{ sessions }` that begin where it was taken |
 * | POST S/interrupt | -> 202 `{ interrupted: turnId or null }`; also cancels queued turns |
 * | POST S/mode, S/model, S/config | -> `session` |
 * | GET S/diff | -> `sessionDiff` |
 * | GET S/usage | -> `sandboxUsage` |
 * | GET S/ports | -> `{ ports: portInfo[] }` |
 * | any S/ports/:port/* | HTTP or WebSocket to that port inside, without credentials; `upstream_failed` when nothing listens |
 * | GET S/forward/:port (WebSocket) | binary messages, the bytes of one TCP connection, both ways; an empty one ends a direction |
 * | POST S/exec | `execInput` -> `execResult` |
 * | POST S/processes, GET S/processes | `processInput` -> 201 `processInfo`; -> `{ processes }` |
 * | GET S/processes/:pid/attach?from= (WebSocket) | binary messages, each one frame of `protocol/frames.ts`, both ways |
 * | POST S/processes/:pid/signal | `{ signal }` -> 204 |
 * | GET S/files?path= | -> `{ files: fileInfo[] }` |
 * | GET S/files/stat?path= | -> `fileInfo` |
 * | GET, PUT S/files/content?path= | raw bytes; PUT -> `fileInfo`; `mode` (octal digits), `makeParents` |
 * | POST S/files/mkdir, S/files/move | `{ path, parents }`, `{ from, to }` -> `fileInfo` |
 * | DELETE S/files?path=&recursive= | -> 204 |
 * | GET S/files/watch?path=&recursive= | SSE of `fileChange` |
 */

export { execResult, fileInfo, portInfo, processInfo, turnOutcome };
