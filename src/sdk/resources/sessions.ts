import { z } from 'zod';
import {
  admission,
  execResult,
  portInfo,
  sandboxUsage,
  session,
  sessionDiff,
  turn,
  type Admission,
  type CreateSessionInput,
  type CreateTurnInput,
  type ExecInput,
  type SandboxUsage,
  type Session,
  type SessionDiff,
  type Turn,
  type UpdateSessionRequest,
} from '../../protocol/api.ts';
import {
  branchState,
  openedPull,
  type BranchState,
  type OpenedPull,
  type OpenPullRequest,
} from '../../protocol/forge-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { previewLink, type PreviewLink } from '../../protocol/preview-api.ts';
import { sessionEvent, type SessionEvent, type SessionStatus } from '../../protocol/events.ts';
import type { PortInfo } from '../../protocol/runner-api.ts';
import { fromBase64, toBase64 } from '../base64.ts';
import { backoffMs, delay } from '../delay.ts';
import { sessionEvents, type EventsOptions } from '../session-events.ts';
import { forwardOverSocket, type ForwardedConnection } from '../forwarded-connection.ts';
import {
  permissionPolicyView,
  type PermissionPolicyView,
  type SetPermissionPolicyRequest,
} from '../../protocol/permission-policy.ts';
import type { Transport } from '../transport.ts';
import { openWebSocket } from '../web-socket.ts';
import { createFilesResource, type CallOptions, type FilesResource } from './files.ts';
import { createProcessesResource, type ProcessesResource } from './processes.ts';

export interface ListSessionsOptions extends CallOptions {
  status?: SessionStatus;
  /** Only those that are archived, or only those that are not. */
  archived?: boolean;
  /** Id of the oldest session of the page before. */
  before?: string;
  limit?: number;
}

/** A finished command. A non-zero exit is a result, not an error. */
export interface ExecOutput {
  exitCode: number | null;
  signal: string | null;
  timedOut: boolean;
  /** Output beyond the server's limit was dropped. */
  truncated: boolean;
  durationMs: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

export interface SessionsResource {
  readonly files: FilesResource;
  readonly processes: ProcessesResource;
  /** Not sent again after a network failure; `client.prompt` makes a session and is. */
  create(input: CreateSessionInput, options?: CallOptions): Promise<Session>;
  get(id: string, options?: CallOptions): Promise<Session>;
  /** Newest first. */
  list(options?: ListSessionsOptions): Promise<Session[]>;
  /** Its title, or its own times of rest. */
  update(id: string, change: UpdateSessionRequest, options?: CallOptions): Promise<Session>;
  /** Resolves when the sandbox is gone too. */
  delete(id: string, options?: CallOptions): Promise<void>;
  /** Admits a turn and returns at once. Sent again after a network failure, under one idempotency key. */
  prompt(id: string, input: CreateTurnInput | string, options?: CallOptions): Promise<Admission>;
  turns(id: string, options?: CallOptions): Promise<Turn[]>;
  turn(id: string, turnId: string, options?: CallOptions & { waitSeconds?: number }): Promise<Turn>;
  /** The turn once it has ended. The first request fails at once; a server that goes away later is waited for. */
  waitForTurn(id: string, turnId: string, options?: CallOptions): Promise<Turn>;
  /** Cancels one turn, waiting or running; others go on. No-op when it has ended. */
  cancelTurn(id: string, turnId: string, options?: CallOptions): Promise<Turn>;
  /** Who answers what its agent asks. */
  permissionPolicy(id: string, options?: CallOptions): Promise<PermissionPolicyView>;
  /** Holds for what is asked from now on. */
  setPermissionPolicy(id: string, request: SetPermissionPolicyRequest, options?: CallOptions): Promise<PermissionPolicyView>;
  /** Ends the running turn and the queued ones; `interrupted` is `null` when none ran. */
  interrupt(id: string, options?: CallOptions): Promise<{ interrupted: string | null }>;
  /** Puts it to rest now; any access wakes it. Throws `conflict` while a turn runs. */
  rest(id: string, step: 'pause' | 'hibernate' | 'stop' | 'archive', options?: CallOptions): Promise<Session>;
  /** Resolves when its sandbox runs. */
  wake(id: string, options?: CallOptions): Promise<Session>;
  /** New sessions from this one: own disk and branch, the conversation so far. */
  fork(id: string, options?: CallOptions & { count?: number }): Promise<Session[]>;
  setMode(id: string, modeId: string, options?: CallOptions): Promise<Session>;
  setModel(id: string, model: string, options?: CallOptions): Promise<Session>;
  setConfig(id: string, configId: string, value: string | boolean, options?: CallOptions): Promise<Session>;
  /** `null` cancels the request. Throws `conflict` when it has been answered. */
  answerPermission(id: string, requestId: string, optionId: string | null, options?: CallOptions): Promise<void>;
  diff(id: string, options?: CallOptions): Promise<SessionDiff>;
  /** What its branch holds, and its pull request. Wakes the sandbox. */
  branch(id: string, options?: CallOptions): Promise<BranchState>;
  /** Commits what is left, pushes, and opens the branch's pull request or finds the one there is. Throws `conflict` while the agent works. */
  openPullRequest(id: string, request?: OpenPullRequest, options?: CallOptions): Promise<OpenedPull>;
  usage(id: string, options?: CallOptions): Promise<SandboxUsage>;
  ports(id: string, options?: CallOptions): Promise<PortInfo[]>;
  /** Where a port answers HTTP and WebSocket; requests need the token, which the server inside does not get. */
  portUrl(id: string, port: number): string;
  /** A link that shows what listens on a port to the browser that follows it. */
  preview(id: string, port: number, options?: CallOptions): Promise<PreviewLink>;
  /** A TCP connection to a port inside. Throws `upstream_failed` when nothing listens there. */
  forward(id: string, port: number, options?: CallOptions): Promise<ForwardedConnection>;
  /** Runs a command to its end; for long or interactive ones use `processes`. */
  exec(
    id: string,
    input: Omit<ExecInput, 'stdin'> & { stdin?: string | Uint8Array },
    options?: CallOptions,
  ): Promise<ExecOutput>;
  /** Events as they come, each once and in order, over any number of connections. */
  events(id: string, options?: EventsOptions): AsyncIterable<SessionEvent>;
  /** The events stored so far after `from` (default all), page by page, then the end. */
  log(id: string, options?: CallOptions & { from?: number }): AsyncIterable<SessionEvent>;
}

/** As long as a turn may be waited for in one request. */
const maxWaitSeconds = 50;

export function createSessionsResource(transport: Transport): SessionsResource {
  const path = (id: string, suffix = ''): string => `/api/sessions/${encodeURIComponent(id)}${suffix}`;
  const sessionPage = z.object({ sessions: z.array(session) });
  const turnPage = z.object({ turns: z.array(turn) });
  const interrupted = z.object({ interrupted: z.string().nullable() });
  const portPage = z.object({ ports: z.array(portInfo) });
  const eventPage = z.object({ events: z.array(z.looseObject({ seq: z.number() })) });

  const getTurn: SessionsResource['turn'] = (id, turnId, { waitSeconds, signal } = {}) =>
    transport.json(turn, 'GET', path(id, `/turns/${encodeURIComponent(turnId)}`), { query: { waitSeconds }, signal });

  return {
    files: createFilesResource(transport),
    processes: createProcessesResource(transport),

    create: (input, options) => transport.json(session, 'POST', '/api/sessions', { json: input, ...options }),
    get: (id, options) => transport.json(session, 'GET', path(id), options),
    async list({ signal, ...query } = {}) {
      return (await transport.json(sessionPage, 'GET', '/api/sessions', { query, signal })).sessions;
    },
    update: (id, change, options) =>
      transport.json(session, 'PATCH', path(id), { json: change, idempotent: true, ...options }),
    delete: (id, options) => transport.empty('DELETE', path(id), options),

    prompt(id, input, options) {
      const given = typeof input === 'string' ? { prompt: input } : input;
      return transport.json(admission, 'POST', path(id, '/turns'), {
        json: { idempotencyKey: crypto.randomUUID(), ...given },
        idempotent: true,
        ...options,
      });
    },
    async turns(id, options) {
      return (await transport.json(turnPage, 'GET', path(id, '/turns'), options)).turns;
    },
    turn: getTurn,
    async waitForTurn(id, turnId, { signal } = {}) {
      const call = signal === undefined ? {} : { signal };
      let answered = false;
      for (let attempt = 0; ; attempt++) {
        try {
          const now = await getTurn(id, turnId, { waitSeconds: maxWaitSeconds, ...call });
          if (now.endedAt !== null) return now;
          answered = true;
          attempt = 0;
          // A server that answers early must not be asked in a tight loop.
          await delay(backoffMs(0), signal);
        } catch (error) {
          const passing = error instanceof BerthError && (error.code === 'unavailable' || error.code === 'timeout');
          if (!answered || !passing || signal?.aborted) throw error;
          await delay(backoffMs(attempt), signal);
        }
      }
    },
    rest: (id, step, options) =>
      transport.json(session, 'POST', path(id, '/rest'), { json: { step }, idempotent: true, ...options }),
    wake: (id, options) => transport.json(session, 'POST', path(id, '/wake'), { idempotent: true, ...options }),
    async fork(id, { count = 1, ...options } = {}) {
      return (await transport.json(sessionPage, 'POST', path(id, '/fork'), { json: { count }, ...options })).sessions;
    },
    cancelTurn: (id, turnId, options) =>
      transport.json(turn, 'POST', path(id, `/turns/${encodeURIComponent(turnId)}/cancel`), { idempotent: true, ...options }),
    permissionPolicy: (id, options) => transport.json(permissionPolicyView, 'GET', path(id, '/permission-policy'), options),
    setPermissionPolicy: (id, request, options) =>
      transport.json(permissionPolicyView, 'PUT', path(id, '/permission-policy'), { json: request, idempotent: true, ...options }),
    interrupt: (id, options) =>
      transport.json(interrupted, 'POST', path(id, '/interrupt'), { idempotent: true, ...options }),

    setMode: (id, modeId, options) =>
      transport.json(session, 'POST', path(id, '/mode'), { json: { modeId }, idempotent: true, ...options }),
    setModel: (id, model, options) =>
      transport.json(session, 'POST', path(id, '/model'), { json: { model }, idempotent: true, ...options }),
    setConfig: (id, configId, value, options) =>
      transport.json(session, 'POST', path(id, '/config'), { json: { configId, value }, idempotent: true, ...options }),
    answerPermission: (id, requestId, optionId, options) =>
      transport.empty('POST', path(id, `/permissions/${encodeURIComponent(requestId)}`), {
        json: { optionId },
        ...options,
      }),

    diff: (id, options) => transport.json(sessionDiff, 'GET', path(id, '/diff'), options),
    branch: (id, options) => transport.json(branchState, 'GET', path(id, '/branch'), options),
    openPullRequest: (id, request = {}, options) =>
      transport.json(openedPull, 'POST', path(id, '/pull-request'), { json: request, idempotent: true, ...options }),
    usage: (id, options) => transport.json(sandboxUsage, 'GET', path(id, '/usage'), options),
    async ports(id, options) {
      return (await transport.json(portPage, 'GET', path(id, '/ports'), options)).ports;
    },
    preview: (id, port, options) => transport.json(previewLink, 'POST', path(id, `/ports/${port}/preview`), options),
    portUrl: (id, port) => transport.url(path(id, `/ports/${port}/`)).href,
    async forward(id, port, { signal } = {}) {
      const socket = await openWebSocket(transport, path(id, `/forward/${port}`), {
        signal,
        // The handshake tells no reason; the same port asked by HTTP does.
        explain: () => transport.empty('HEAD', path(id, `/ports/${port}/`), { signal, idempotent: false }),
      });
      return forwardOverSocket(socket);
    },
    async exec(id, { stdin, ...input }, options) {
      const bytes = typeof stdin === 'string' ? new TextEncoder().encode(stdin) : stdin;
      const result = await transport.json(execResult, 'POST', path(id, '/exec'), {
        json: { ...input, ...(bytes === undefined ? {} : { stdin: toBase64(bytes) }) },
        ...options,
      });
      return { ...result, stdout: fromBase64(result.stdout), stderr: fromBase64(result.stderr) };
    },

    events: (id, options) => sessionEvents(transport, id, options),
    async *log(id, { from = 0, signal } = {}) {
      for (let last = from; ;) {
        const page = await transport.json(eventPage, 'GET', path(id, '/log'), { query: { from: last }, signal });
        const before = last;
        for (const entry of page.events) {
          if (entry.seq <= last) continue;
          last = entry.seq;
          // An event of a type that this client does not know is counted and skipped.
          const known = sessionEvent.safeParse(entry);
          if (known.success) yield known.data;
        }
        if (last === before) return;
      }
    },
  };
}
