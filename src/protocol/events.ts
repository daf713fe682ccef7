import { z } from 'zod';
import { budgetMeasure, budgetScope } from './budget.ts';

/**
 * Events. A session's log is append-only and numbered by `seq` from 1 without gaps. Two writers feed
 * it: the runner's journal (what the agent did; see `journalEventData`) and the server (what
 * happened to the session around it). Unknown types must be ignored by readers.
 */

const usage = z.object({
  inputTokens: z.number().optional(),
  outputTokens: z.number().optional(),
  totalTokens: z.number().optional(),
});
export type Usage = z.infer<typeof usage>;

export const eventError = z.object({
  code: z.string(),
  message: z.string(),
});
export type EventError = z.infer<typeof eventError>;

export const turnOutcome = z.enum(['completed', 'cancelled', 'failed']);
export type TurnOutcome = z.infer<typeof turnOutcome>;

export const permissionOption = z.object({
  optionId: z.string(),
  name: z.string(),
  kind: z.enum(['allow_once', 'allow_always', 'reject_once', 'reject_always']),
});
export type PermissionOption = z.infer<typeof permissionOption>;

/** ACP `SessionUpdate`, kept as sent: new kinds must reach clients that know them. */
export const agentUpdate = z.looseObject({ sessionUpdate: z.string() });
export type AgentUpdate = z.infer<typeof agentUpdate>;

const configOption = z.looseObject({ id: z.string() });

/** What the runner's journal may hold. */
export const journalEventData = z.discriminatedUnion('type', [
  /** The agent process answered `initialize` and has a conversation; `resumed` says how it got it. */
  z.object({
    type: z.literal('agent.started'),
    data: z.object({
      agent: z.string(),
      acpSessionId: z.string(),
      resumed: z.enum(['new', 'load', 'resume', 'fork']),
      version: z.string().optional(),
    }),
  }),
  z.object({
    type: z.literal('agent.exited'),
    data: z.object({ exitCode: z.number().nullable(), signal: z.string().nullable(), stderrTail: z.string() }),
  }),
  z.object({ type: z.literal('agent.update'), data: z.object({ update: agentUpdate }) }),
  /** The modes and options the agent offers, and the ones in force. */
  z.object({
    type: z.literal('agent.config'),
    data: z.object({
      modeId: z.string().nullable(),
      modes: z.array(z.looseObject({ id: z.string(), name: z.string() })),
      options: z.array(configOption),
    }),
  }),
  /** An unknown or ill-formed message from the agent, or a line it wrote to stderr. */
  z.object({
    type: z.literal('agent.log'),
    data: z.object({ level: z.enum(['debug', 'info', 'warn', 'error']), message: z.string() }),
  }),
  z.object({ type: z.literal('turn.started'), data: z.object({}) }),
  z.object({
    type: z.literal('turn.ended'),
    data: z.object({
      outcome: turnOutcome,
      /** ACP stop reason, or `null` when the agent never gave one. */
      stopReason: z.string().nullable(),
      usage: usage.nullable(),
      error: eventError.nullable(),
    }),
  }),
  z.object({
    type: z.literal('permission.requested'),
    data: z.object({
      requestId: z.string(),
      toolCall: z.looseObject({ toolCallId: z.string() }),
      options: z.array(permissionOption),
      /** When the request is refused for want of an answer; ISO 8601. */
      expiresAt: z.string(),
      /** Set by the server when a rule answers it: nobody need be asked. */
      answeredBy: z.string().optional(),
    }),
  }),
  z.object({
    type: z.literal('permission.resolved'),
    data: z.object({
      requestId: z.string(),
      outcome: z.enum(['selected', 'cancelled', 'expired']),
      optionId: z.string().nullable(),
      by: z.string().nullable(),
    }),
  }),
]);
export type JournalEventData = z.infer<typeof journalEventData>;

/** One entry of the runner's journal, as served by `GET /sessions/:id/journal`. */
export const journalEvent = z.intersection(
  z.object({
    /** Numbered from 1 within one journal. */
    seq: z.number().int().positive(),
    at: z.iso.datetime(),
    turnId: z.string().nullable(),
  }),
  journalEventData,
);
export type JournalEvent = z.infer<typeof journalEvent>;

export const sessionStatus = z.enum([
  'creating',
  'idle',
  'queued',
  'running',
  'asking',
  'paused',
  'hibernated',
  'stopped',
  'failed',
]);
export type SessionStatus = z.infer<typeof sessionStatus>;

/** What the server adds around the journal. */
export const serverEventData = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('session.created'),
    data: z.object({ agent: z.string(), repository: z.string().nullable(), branch: z.string().nullable() }),
  }),
  z.object({
    type: z.literal('session.status'),
    data: z.object({ status: sessionStatus, reason: z.string().nullable() }),
  }),
  z.object({
    type: z.literal('turn.queued'),
    data: z.object({
      prompt: z.array(z.looseObject({ type: z.string() })),
      by: z.string(),
      position: z.number().int().nonnegative(),
      estimatedWaitSeconds: z.number().nonnegative(),
    }),
  }),
  /** A waiting turn has moved; 1 is next. Told at most once a second, and far from the front only when it moved by a tenth. */
  z.object({
    type: z.literal('turn.position'),
    data: z.object({
      position: z.number().int().nonnegative(),
      estimatedWaitSeconds: z.number().nonnegative(),
    }),
  }),
  /** Long work under way: making a sandbox, installing an agent, cloning. */
  z.object({
    type: z.literal('progress'),
    data: z.object({
      stage: z.string(),
      message: z.string(),
      /** 0..1, or `null` where the end is not known. */
      fraction: z.number().min(0).max(1).nullable(),
    }),
  }),
  z.object({
    type: z.literal('sandbox.status'),
    data: z.object({ sandboxId: z.string(), provider: z.string(), status: z.string(), reason: z.string().nullable() }),
  }),
  z.object({
    type: z.literal('git.committed'),
    data: z.object({ sha: z.string(), branch: z.string(), subject: z.string(), byAgent: z.boolean() }),
  }),
  /** The gateway refused a connection of the sandbox's, told once for each host and port. */
  z.object({
    type: z.literal('egress.denied'),
    data: z.object({ host: z.string(), port: z.number().int(), reason: z.string() }),
  }),
  z.object({
    type: z.literal('egress.changed'),
    data: z.object({ by: z.string(), presets: z.array(z.string()), allow: z.array(z.string()) }),
  }),
  /** A limit is used up: the session's model calls wait for the answer to the question of this id, told by the next event. */
  z.object({
    type: z.literal('budget.reached'),
    data: z.object({
      requestId: z.string(),
      scope: budgetScope,
      measure: budgetMeasure,
      limit: z.number(),
      used: z.number(),
    }),
  }),
  z.object({
    type: z.literal('budget.raised'),
    data: z.object({ scope: budgetScope, measure: budgetMeasure, amount: z.number(), by: z.string() }),
  }),
  /** A push of the agent's that the gateway did not carry out; `count`: of this session's. Of many, each power of ten is told. */
  z.object({
    type: z.literal('git.refused'),
    data: z.object({ refs: z.array(z.string()), reason: z.string(), count: z.number().int() }),
  }),
  /** The session as it stood here can be forked, for as long as the snapshot is there. */
  z.object({
    type: z.literal('snapshot.created'),
    data: z.object({ snapshotId: z.string(), name: z.string(), memory: z.boolean(), by: z.string() }),
  }),
  z.object({ type: z.literal('git.pushed'), data: z.object({ sha: z.string(), branch: z.string() }) }),
  z.object({
    type: z.literal('task.pull_request'),
    data: z.object({ number: z.number().int(), url: z.string() }),
  }),
]);
export type ServerEventData = z.infer<typeof serverEventData>;

export const sessionEvent = z.intersection(
  z.object({
    sessionId: z.string(),
    /** Numbered from 1 within the session, without gaps. */
    seq: z.number().int().positive(),
    at: z.iso.datetime(),
    turnId: z.string().nullable(),
  }),
  z.union([journalEventData, serverEventData]),
);
export type SessionEvent = z.infer<typeof sessionEvent>;
export type SessionEventType = SessionEvent['type'];
