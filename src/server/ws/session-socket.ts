import type { WSContext, WSEvents } from 'hono/ws';
import { z } from 'zod';
import type { SessionPermission } from '../../core/users/permissions.ts';
import { createTurnRequest } from '../../protocol/api.ts';
import { asBerthError, BerthError, toErrorBody } from '../../protocol/errors.ts';
import type { AppDependencies } from '../context.ts';
import { feedEvents } from '../event-feed.ts';

const heartbeatMs = 15_000;
const maxMessageBytes = 2 * 1024 * 1024;

const clientMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('permission'), requestId: z.string(), optionId: z.string().nullable() }),
  z.strictObject({ type: z.literal('interrupt') }),
  z.strictObject({
    type: z.literal('prompt'),
    prompt: createTurnRequest.shape.prompt,
    idempotencyKey: createTurnRequest.shape.idempotencyKey,
  }),
  z.strictObject({ type: z.literal('ping') }),
]);

interface Opened {
  sessionId: string;
  /** Events after this one. */
  from: number;
  /** The token it was opened with; each message in is checked by it. */
  tokenHash: string;
}

/** A session over one WebSocket: events out, prompts and answers in; each message in gets one `reply`. */
export function openSessionSocket(deps: AppDependencies, opened: Opened): WSEvents {
  const stop = new AbortController();
  return {
    onOpen(_event, ws) {
      void sendEvents(deps, opened, ws, stop.signal);
    },
    onMessage(message, ws) {
      void reply(deps, opened, message.data, ws);
    },
    onClose: () => stop.abort(),
    onError: () => stop.abort(),
  };
}

async function sendEvents(
  deps: AppDependencies,
  { sessionId, from }: Opened,
  ws: WSContext,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of feedEvents(deps.store, sessionId, from, heartbeatMs, signal)) {
      ws.send(JSON.stringify(event ?? { type: 'heartbeat' }));
      await drained(ws, signal);
    }
    ws.close(1000, 'the session was deleted');
  } catch (error) {
    deps.logger.error({ sessionId, err: error }, 'event socket failed');
    ws.close(1011, 'internal');
  }
}

const highWaterBytes = 4 * 1024 * 1024;
const drainPollMs = 20;

/** A reader slower than the log waits here, not in memory. */
export async function drained(ws: WSContext, signal: AbortSignal): Promise<void> {
  const raw = ws.raw as { bufferedAmount?: number } | undefined;
  while ((raw?.bufferedAmount ?? 0) > highWaterBytes && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, drainPollMs));
  }
}

async function reply(deps: AppDependencies, opened: Opened, data: unknown, ws: WSContext): Promise<void> {
  let to = 'unknown';
  try {
    const message = parseMessage(data);
    to = message.type;
    ws.send(JSON.stringify({ type: 'reply', to, ok: true, result: await act(deps, opened, message) }));
  } catch (error) {
    ws.send(JSON.stringify({ type: 'reply', to, ok: false, ...toErrorBody(asBerthError(error)) }));
  }
}

function parseMessage(data: unknown): z.infer<typeof clientMessage> {
  if (typeof data !== 'string' || data.length > maxMessageBytes) {
    throw new BerthError('invalid_request', `a message is JSON text of at most ${maxMessageBytes} bytes`);
  }
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new BerthError('invalid_request', 'the message is not JSON', { cause });
  }
  const parsed = clientMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BerthError('invalid_request', issue?.message ?? 'the message is not valid', { field: issue?.path.join('.') ?? '' });
}

const neededFor = {
  permission: 'session:answer',
  interrupt: 'session:prompt',
  prompt: 'session:prompt',
  ping: 'session:view',
} as const satisfies Record<z.infer<typeof clientMessage>['type'], SessionPermission>;

async function act(
  deps: AppDependencies,
  { sessionId, tokenHash }: Opened,
  message: z.infer<typeof clientMessage>,
): Promise<unknown> {
  const { sessions, accounts } = deps.core;
  const needs = neededFor[message.type];
  const { user } = await accounts.admit(tokenHash, [{ needs, session: sessionId }]);
  switch (message.type) {
    case 'permission': {
      const { requestId, optionId } = message;
      const path = `/api/sessions/${sessionId}/permissions/${encodeURIComponent(requestId)}`;
      if (await deps.forwarding?.call(sessionId, tokenHash, 'POST', path, { optionId })) return null;
      await sessions.answerPermission(sessionId, message.requestId, message.optionId, user);
      return null;
    }
    case 'interrupt': {
      const path = `/api/sessions/${sessionId}/interrupt`;
      const forwarded = await deps.forwarding?.call(sessionId, tokenHash, 'POST', path, undefined);
      return forwarded ? forwarded.result : sessions.interrupt(sessionId, user);
    }
    case 'prompt': {
      await deps.limits?.prompt(user);
      const { prompt, idempotencyKey } = message;
      const request = { prompt, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
      return (await sessions.prompt(sessionId, request, user)).admission;
    }
    case 'ping':
      return null;
  }
}
