import type { Duplex } from 'node:stream';
import type {
  Admission,
  CreateSessionRequest,
  CreateTurnRequest,
  SandboxUsage,
  SessionDiff,
  UpdateSessionRequest,
} from '../../protocol/api.ts';
import type { AuditAction } from '../../protocol/audit.ts';
import { actorOf } from '../audit/actor.ts';
import type { PermissionPolicyView, SetPermissionPolicyRequest } from '../../protocol/permission-policy.ts';
import { rulesOf } from '../permissions/answer-by-policy.ts';
import { isBudgetQuestion } from '../../protocol/budget.ts';
import { asBerthError, BerthError } from '../../protocol/errors.ts';
import { requireRoom } from '../quotas/check-quotas.ts';
import type { Dependencies } from '../dependencies.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { NewAuditEntry, SessionFilter, SessionRecord, StoreTransaction, TurnRecord } from '../ports/store.ts';
import type { RestStep } from '../sandboxes/idle-policy.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { admissionOf } from '../turns/admission.ts';
import { admitTurn } from '../turns/admit-turn.ts';
import { cancelTurns } from '../turns/cancel-turns.ts';
import type { Dispatcher } from '../turns/dispatcher.ts';
import { endTurn } from '../turns/end-turn.ts';
import { openTurnStates } from '../turns/turn-states.ts';
import type { BudgetAnswers } from '../budgets/budget-answers.ts';
import type { Answers } from './answers.ts';
import { answerDetail } from './answer-detail.ts';
import { planSession } from './create-session.ts';
import { dialPort } from './dial-port.ts';
import { forkSession, snapshotSourceOf } from './fork-session.ts';
import { planUpdate } from './update-session.ts';

/**
 * What can be done with sessions: the use cases behind the API, the CLI and the tasks. `by` is who does it, for the audit log.
 */
export interface SessionService {
  /** `within` runs in the transaction that makes the session, so that both are there or neither. */
  create(
    request: CreateSessionRequest,
    owner: string,
    signal: AbortSignal,
    within?: (tx: StoreTransaction, session: SessionRecord) => Promise<void>,
  ): Promise<SessionRecord>;
  get(id: string): Promise<SessionRecord>;
  list(filter: SessionFilter): Promise<SessionRecord[]>;
  /** Changes its title or its own times of rest. */
  update(id: string, request: UpdateSessionRequest, by: string): Promise<SessionRecord>;
  /** Ends everything of the session and forgets it. Goes on after a crash. */
  delete(id: string, by: string): Promise<void>;

  /** Admits a prompt; the same idempotency key gives the same turn. */
  prompt(id: string, request: CreateTurnRequest, by: string): Promise<{ turn: TurnRecord; admission: Admission }>;
  turn(sessionId: string, turnId: string): Promise<TurnRecord>;
  turns(sessionId: string): Promise<TurnRecord[]>;
  admission(turn: TurnRecord): Promise<Admission>;
  /** Resolves when the turn has ended, or with its state when the signal fires. */
  waitForTurn(sessionId: string, turnId: string, signal: AbortSignal): Promise<TurnRecord>;
  /** Cancels the turn that runs and those that wait. */
  interrupt(id: string, by: string): Promise<{ interrupted: string | null }>;
  /** Cancels one turn at whatever stage it is; others of its session go on. No-op when it has ended. */
  cancelTurn(sessionId: string, turnId: string, by: string): Promise<TurnRecord>;
  /** Puts the session to rest now; any access wakes it. */
  rest(id: string, step: RestStep, by: string): Promise<SessionRecord>;
  /** Resolves when its sandbox runs. */
  wake(id: string, signal: AbortSignal, by: string): Promise<SessionRecord>;
  /** New sessions from this one, which goes on: own disk and branch, the conversation so far. */
  fork(id: string, count: number, owner: string, signal: AbortSignal): Promise<SessionRecord[]>;
  answerPermission(id: string, requestId: string, optionId: string | null, by: string): Promise<void>;
  /** The rules that hold in the session, and its own. */
  permissionPolicy(id: string): Promise<PermissionPolicyView>;
  setPermissionPolicy(id: string, request: SetPermissionPolicyRequest, by: string): Promise<PermissionPolicyView>;
  setMode(id: string, modeId: string, by: string): Promise<SessionRecord>;
  setConfig(id: string, configId: string, value: string | boolean, by: string): Promise<SessionRecord>;

  /** Runs `use` with the runner of the session's sandbox, waking it first. */
  withRunner<T>(
    id: string,
    signal: AbortSignal,
    use: (runner: RunnerClient, session: SessionRecord) => Promise<T>,
  ): Promise<T>;
  /** A byte stream to a port inside; see `dial-port.ts`. */
  dial(id: string, port: number, signal: AbortSignal): Promise<Duplex>;
  /** Keeps the sandbox awake for a stream that outlives a call; call the result to let go. */
  hold(id: string): () => void;
  diff(id: string, signal: AbortSignal): Promise<SessionDiff>;
  usage(id: string, signal: AbortSignal): Promise<SandboxUsage>;
}

const callTimeoutMs = 60_000;
const holdsMemory: readonly string[] = ['running', 'paused', 'hibernated'];

export function createSessionService(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  dispatcher: Dispatcher,
  { answers, budgets }: { answers: Answers; budgets: BudgetAnswers },
): SessionService {
  const { store, clock } = deps;
  const now = () => clock.now().toISOString();

  /** As the audit log has it. */
  function told(
    by: string,
    action: AuditAction,
    sessionId: string,
    detail: Record<string, unknown> = {},
    target: string = sessionId,
  ): [NewAuditEntry] {
    return [{ at: now(), actor: actorOf(by), action, target, sessionId, detail }];
  }

  async function get(id: string): Promise<SessionRecord> {
    const session = await store.read.session(id);
    if (session === null || session.deletingAt !== null) {
      throw new BerthError('not_found', `there is no session ${id}`, { field: 'id' });
    }
    return session;
  }

  /** Tells an agent that lives, asleep or awake; one that does not is told when it is started. */
  async function tellAgent(
    session: SessionRecord,
    tell: (runner: RunnerClient, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const sandbox = session.sandboxId === null ? null : await store.read.sandbox(session.sandboxId);
    if (session.acpSessionId === null || sandbox === null || !holdsMemory.includes(sandbox.status)) return;
    const signal = AbortSignal.timeout(callTimeoutMs);
    try {
      await sandboxes.use(session.id, signal, ({ runner }) => tell(runner, signal));
    } catch (cause) {
      // The sandbox lives and the agent does not: it was started again from its disk.
      if (asBerthError(cause).context['reason'] !== 'agent_not_started') throw cause;
    }
  }

  return {
    async create(request, owner, signal, within) {
      const record = await planSession(deps, request, owner, signal);
      await store.transaction(async (tx) => {
        await requireRoom(tx, deps.settings.quotas, [record]);
        await tx.insertSession(record);
        await tx.appendEvents(record.id, [
          {
            at: record.createdAt,
            turnId: null,
            type: 'session.created',
            data: { agent: record.agent, repository: record.repositoryUrl, branch: record.branch },
          },
        ]);
        const { agent, repositoryUrl: repository, branch, permissions } = record;
        await tx.appendAudit(told(owner, 'session.created', record.id, { agent, repository, branch, permissions }));
        await within?.(tx, record);
      });
      return get(record.id);
    },

    get,
    list: (filter) => store.read.sessions(filter),

    async update(id, request, by) {
      await get(id);
      await store.transaction(async (tx) => {
        await tx.updateSession(id, planUpdate(deps, request));
        await tx.appendAudit(told(by, 'session.updated', id, { fields: Object.keys(request) }));
      });
      if (request.budget !== undefined) budgets.wake();
      return get(id);
    },

    async delete(id, by) {
      await get(id);
      const open = await store.transaction(async (tx) => {
        const turns = await tx.turns(id, openTurnStates);
        for (const turn of turns) await endTurn(tx, turn.id, 'cancelled', null, now());
        await tx.updateSession(id, { deletingAt: now(), updatedAt: now() });
        await tx.appendAudit(told(by, 'session.deleted', id));
        return turns;
      });
      for (const turn of open) dispatcher.abort(turn.id);
      await finishDeletion(deps, sandboxes, id);
      dispatcher.wake();
    },

    async prompt(id, request, by) {
      const inserted = await admitTurn(deps, id, request, by);
      dispatcher.announce((await store.read.session(id))?.hostId ?? null);
      const turn = (await store.read.turn(inserted.id)) ?? inserted;
      return { turn, admission: await admissionOf(deps, store.read, turn) };
    },

    async turn(sessionId, turnId) {
      const turn = await store.read.turn(turnId);
      if (turn === null || turn.sessionId !== sessionId) {
        throw new BerthError('not_found', `there is no turn ${turnId} in this session`, { field: 'turnId' });
      }
      return turn;
    },
    async turns(sessionId) {
      await get(sessionId);
      return store.read.turns(sessionId);
    },
    admission: (turn) => admissionOf(deps, store.read, turn),

    async waitForTurn(sessionId, turnId, signal) {
      for (;;) {
        const changed = nextChange(store, sessionId, signal);
        const turn = await this.turn(sessionId, turnId);
        if (!openTurnStates.includes(turn.state) || signal.aborted) return turn;
        await changed;
      }
    },

    async interrupt(id, by) {
      await get(id);
      const interrupted = await cancelTurns(deps, sandboxes, dispatcher, { sessionId: id, by });
      return { interrupted: interrupted?.id ?? null };
    },
    async cancelTurn(sessionId, turnId, by) {
      await this.turn(sessionId, turnId);
      await cancelTurns(deps, sandboxes, dispatcher, { sessionId, turnId, by });
      return this.turn(sessionId, turnId);
    },

    async rest(id, step, by) {
      await get(id);
      await store.transaction((tx) => tx.appendAudit(told(by, 'session.rested', id, { step })));
      await sandboxes.rest(id, step);
      return get(id);
    },
    async wake(id, signal, by) {
      await get(id);
      await store.transaction((tx) => tx.appendAudit(told(by, 'session.woken', id)));
      await sandboxes.use(id, signal, async () => {});
      return get(id);
    },
    async fork(id, count, owner, signal) {
      const session = await get(id);
      if (session.sandboxId === null || session.baseCommit === null) {
        throw new BerthError('conflict', 'the session has no workspace yet; there is nothing to fork', { field: 'id' });
      }
      const from = { sandboxId: session.sandboxId };
      const source = snapshotSourceOf(session);
      const forks = await forkSession(
        deps,
        sandboxes,
        { from, source, sessionId: id, origin: id, count, owner },
        signal,
      );
      return Promise.all(forks.map(get));
    },

    async answerPermission(id, requestId, optionId, by) {
      await get(id);
      const asked = await store.read.permission(id, requestId);
      if (asked === null) {
        throw new BerthError('not_found', `there is no permission request ${requestId}`, { field: 'requestId' });
      }
      if (asked.state !== 'open') {
        throw new BerthError('conflict', `the permission request was ${asked.state} already`, { field: 'requestId' });
      }
      if (optionId !== null && !asked.options.some((option) => option.optionId === optionId)) {
        const known = asked.options.map((option) => option.optionId).join(', ');
        throw new BerthError('invalid_request', `the options are: ${known}`, { field: 'optionId' });
      }
      if (asked.answeredBy !== null) {
        throw new BerthError('conflict', 'the permission request was answered already', { field: 'requestId' });
      }
      const chosen = asked.options.find((option) => option.optionId === optionId);
      await store.transaction((tx) =>
        tx.appendAudit(told(by, 'permission.answered', id, answerDetail(asked, chosen ?? null), requestId)),
      );
      if (isBudgetQuestion(requestId)) await budgets.give(asked, optionId, by);
      else await answers.give(asked, { optionId, by });
    },

    async permissionPolicy(id) {
      const session = await get(id);
      const { permissions: mode, permissionPolicy: own } = session;
      return { mode, own, rules: await rulesOf(store.read, session, deps.settings) };
    },
    async setPermissionPolicy(id, { mode, policy }, by) {
      await get(id);
      await store.transaction(async (tx) => {
        await tx.updateSession(id, {
          ...(mode === undefined ? {} : { permissions: mode }),
          ...(policy === undefined ? {} : { permissionPolicy: policy }),
          updatedAt: now(),
        });
        const detail = { ...(mode === undefined ? {} : { mode }), ...(policy === undefined ? {} : { rules: policy?.rules.map(({ name, answer }) => `${answer} ${name}`) ?? null }) };
        await tx.appendAudit(told(by, 'permission.policy_set', id, detail));
      });
      return this.permissionPolicy(id);
    },

    async setMode(id, modeId, by) {
      const session = await get(id);
      await tellAgent(session, (runner, signal) => runner.setMode(id, modeId, signal));
      await store.transaction(async (tx) => {
        await tx.updateSession(id, { modeId, updatedAt: now() });
        await tx.appendAudit(told(by, 'session.updated', id, { fields: ['mode'], mode: modeId }));
      });
      return get(id);
    },

    async setConfig(id, configId, value, by) {
      const session = await get(id);
      await tellAgent(session, (runner, signal) => runner.setConfig(id, configId, value, signal));
      await store.transaction(async (tx) => {
        const latest = await tx.session(id);
        await tx.updateSession(id, { config: { ...latest?.config, [configId]: value }, updatedAt: now() });
        await tx.appendAudit(told(by, 'session.updated', id, { fields: ['config'], [configId]: value }));
      });
      return get(id);
    },

    async withRunner(id, signal, use) {
      await get(id);
      return sandboxes.use(id, signal, async ({ runner }) => use(runner, await get(id)));
    },
    async dial(id, port, signal) {
      await get(id);
      return dialPort(deps, sandboxes, id, port, signal);
    },
    hold: (id) => sandboxes.hold(id),

    async diff(id, signal) {
      return this.withRunner(id, signal, (runner, session) =>
        deps.git.diff(runner, { cwd: session.cwd, baseCommit: session.baseCommit }, signal),
      );
    },

    async usage(id, signal) {
      const session = await get(id);
      if (session.sandboxId === null) {
        throw new BerthError('not_found', 'the session has no sandbox yet', { field: 'id' });
      }
      const stats = await deps.providers.of(session.provider).stats(session.sandboxId, { signal });
      return { sandboxId: session.sandboxId, limits: session.limits, ...stats };
    },
  };
}

/** The second half of a deletion, which a restart repeats. */
export async function finishDeletion(deps: Dependencies, sandboxes: SessionSandboxes, id: string): Promise<void> {
  await sandboxes.destroy(id);
  await deps.store.transaction((tx) => tx.deleteSession(id));
}

/** Resolves at the session's next committed event, or when the signal fires. */
function nextChange(store: Dependencies['store'], sessionId: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      unsubscribe();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const unsubscribe = store.onEvents((id) => {
      if (id === sessionId) done();
    });
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
