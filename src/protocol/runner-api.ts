import { z } from 'zod';
import { prompt } from './content.ts';

/**
 * The runner's HTTP API, on port 8080 of every sandbox, spoken over the byte stream that a provider's
 * `dial` gives. All bodies JSON unless said otherwise; every request but `GET /health` carries
 * `authorization: Bearer <runner token>`. Errors have the shape of `ErrorBody`.
 *
 * | route | what |
 * |---|---|
 * | GET /health | `runnerHealth` |
 * | POST /rest | 204; then ends every connection and takes its socket away for as long as there is a file beside it, see `restFileSuffix` |
 * | POST /exec | `execRequest` -> `execResult`; one request, one finished process |
 * | POST /processes | `processSpec` -> 201 `processInfo` |
 * | GET /processes, GET /processes/:id | `processInfo[]`, `processInfo` |
 * | GET /processes/:id/attach?from=N | `Upgrade: berth-process`; frames, output replayed from byte N of the kept tail |
 * | POST /processes/:id/signal | `{ signal }` to the process's whole group |
 * | POST /processes/:id/resize | `{ cols, rows }` |
 * | GET /files/stat, /files/list | `?path=` -> `fileInfo`, `fileInfo[]` |
 * | GET /files/content | `?path=&offset=&lengthBytes=` -> raw bytes, streamed |
 * | PUT /files/content | `?path=&mode=&makeParents=` raw body, streamed, replaced atomically -> `fileInfo` |
 * | POST /files/mkdir, /files/move | `{ path, parents? }`, `{ from, to }` |
 * | DELETE /files | `?path=&recursive=` |
 * | GET /files/watch | `?path=&recursive=` -> NDJSON of `fileChange`, blank line as heartbeat |
 * | GET /ports | `portInfo[]` |
 * | GET /ports/:port | `Upgrade: tcp`; raw bytes to 127.0.0.1:port, or [::1]:port |
 * | GET /gateway?port=N | `Upgrade: berth-gateway`; then the runner is the HTTP/2 *client* and opens one CONNECT stream per connection made to 127.0.0.1:N inside |
 * | PUT /sessions/:id | `agentSessionSpec` -> `agentSessionInfo`; starts the agent, idempotent |
 * | GET /sessions/:id | `agentSessionInfo` |
 * | POST /sessions/:id/turns | `agentTurn` -> 202; idempotent by `turnId` |
 * | POST /sessions/:id/cancel | `{ turnId? }` -> 202 |
 * | POST /sessions/:id/permissions/:requestId | `permissionAnswer` -> 200, 409 if answered already |
 * | POST /sessions/:id/mode, /config | `{ modeId }`, `{ configId, value }` |
 * | DELETE /sessions/:id | ends the agent; the journal stays |
 * | GET /sessions/:id/journal?from=SEQ&follow=true | NDJSON: first `journalHead`, then `journalEvent` with seq > from; blank line as heartbeat |
 */

export const runnerPort = 8080;
/** Where agents and tools in the sandbox reach the gateway. */
export const gatewayPort = 8079;
/** Where on it the runner takes the DNS questions of the sandbox (RFC 8484, POST). */
export const namesPath = '/dns-query';
export const runnerHeartbeatMs = 10_000;

export const absolutePath = z.string().min(1).max(4096).startsWith('/');

export const runnerHealth = z.object({
  version: z.string(),
  pid: z.number(),
  uptimeMs: z.number(),
  gatewayConnected: z.boolean(),
});
export type RunnerHealth = z.infer<typeof runnerHealth>;

const environment = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(131_072));

export const execRequest = z.object({
  argv: z.array(z.string()).min(1).max(4096),
  cwd: absolutePath.optional(),
  env: environment.optional(),
  stdin: z.base64().optional(),
  timeoutMs: z.number().int().positive().max(3_600_000).optional(),
  /** Output beyond this, per stream, is dropped and `truncated` set. Default 1 MiB. */
  maxOutputBytes: z
    .number()
    .int()
    .positive()
    .max(64 * 1024 * 1024)
    .optional(),
});
export type ExecRequest = z.infer<typeof execRequest>;

export const execResult = z.object({
  exitCode: z.number().nullable(),
  signal: z.string().nullable(),
  timedOut: z.boolean(),
  truncated: z.boolean(),
  stdout: z.base64(),
  stderr: z.base64(),
  durationMs: z.number(),
});
export type ExecResult = z.infer<typeof execResult>;

export const processSpec = z.object({
  argv: z.array(z.string()).min(1).max(4096),
  cwd: absolutePath.optional(),
  env: environment.optional(),
  pty: z.object({ cols: z.number().int().min(1).max(1000), rows: z.number().int().min(1).max(1000) }).optional(),
  /** Without it stdin is closed at once. A PTY always has it. */
  stdin: z.boolean().optional(),
});
export type ProcessSpec = z.infer<typeof processSpec>;

export const processInfo = z.object({
  id: z.string(),
  pid: z.number(),
  argv: z.array(z.string()),
  cwd: z.string(),
  pty: z.boolean(),
  startedAt: z.iso.datetime(),
  /** `null` while it runs. */
  exit: z.object({ exitCode: z.number().nullable(), signal: z.string().nullable(), at: z.iso.datetime() }).nullable(),
});
export type ProcessInfo = z.infer<typeof processInfo>;

export const fileInfo = z.object({
  path: z.string(),
  name: z.string(),
  type: z.enum(['file', 'directory', 'symlink', 'other']),
  sizeBytes: z.number(),
  mode: z.number(),
  modifiedAt: z.iso.datetime(),
  /** Of a symlink: where it points, unresolved. */
  target: z.string().optional(),
});
export type FileInfo = z.infer<typeof fileInfo>;

export const fileChange = z.object({
  type: z.enum(['created', 'modified', 'removed', 'overflow']),
  path: z.string(),
});
export type FileChange = z.infer<typeof fileChange>;

export const portInfo = z.object({ port: z.number(), address: z.string(), pid: z.number().nullable() });
export type PortInfo = z.infer<typeof portInfo>;

export const mcpServer = z.union([
  z.object({
    name: z.string().min(1).max(100),
    command: z.string().min(1),
    args: z.array(z.string()).default([]),
    env: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
  }),
  z.object({
    type: z.enum(['http', 'sse']),
    name: z.string().min(1).max(100),
    url: z.url(),
    headers: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
  }),
]);
export type McpServer = z.infer<typeof mcpServer>;

export const agentSessionSpec = z.object({
  agent: z.string(),
  argv: z.array(z.string()).min(1),
  env: environment,
  cwd: absolutePath,
  /** Settings files to write before the agent starts, only where absent unless `overwrite`. */
  files: z.array(z.object({ path: absolutePath, content: z.string(), overwrite: z.boolean() })).default([]),
  mcpServers: z.array(mcpServer).default([]),
  /** The conversation to take up again; `null` starts a new one. */
  acpSessionId: z.string().nullable(),
  /** Where that is `null`: a conversation on this disk to begin from, forked where the agent can, else taken up. */
  forkOf: z.string().nullable().default(null),
  /** Set right after the conversation is there. */
  modeId: z.string().nullable(),
  config: z.record(z.string(), z.union([z.string(), z.boolean()])).default({}),
  /** How long a permission request waits for an answer before it is refused. */
  permissionTimeoutMs: z.number().int().positive(),
  initializeTimeoutMs: z.number().int().positive(),
});
export type AgentSessionSpec = z.infer<typeof agentSessionSpec>;

export const agentSessionInfo = z.object({
  sessionId: z.string(),
  journalId: z.string(),
  lastSeq: z.number(),
  agent: z.string(),
  /** `null` until the agent answered. */
  acpSessionId: z.string().nullable(),
  running: z.boolean(),
  turnId: z.string().nullable(),
  openPermissions: z.array(z.string()),
  modeId: z.string().nullable(),
  /** ACP `promptCapabilities` and friends, as the agent sent them. */
  capabilities: z.looseObject({}),
});
export type AgentSessionInfo = z.infer<typeof agentSessionInfo>;

export const agentTurn = z.object({ turnId: z.string().min(1).max(100), prompt });
export type AgentTurn = z.infer<typeof agentTurn>;

export const permissionAnswer = z.object({
  /** `null` cancels the request. */
  optionId: z.string().nullable(),
  by: z.string().max(200),
});
export type PermissionAnswer = z.infer<typeof permissionAnswer>;

/** No line of a journal is longer, its end of line aside. */
export const maxJournalLineBytes = 1024 * 1024;
/** Numbers that a journal may leave out between two entries: after a crash of the machine it goes on so far ahead. */
export const maxJournalGap = 1_000_000;

export const journalHead = z.object({
  journalId: z.string().regex(/^[\w-]{1,100}$/),
  lastSeq: z.number().int().nonnegative(),
});
export type JournalHead = z.infer<typeof journalHead>;
