import { asBerthError } from '../../protocol/errors.ts';
import type { PermissionAnswer } from '../../protocol/runner-api.ts';
import type { Dependencies } from '../dependencies.ts';
import type { PermissionRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';

/** Brings answers to the agents that asked; see `core/ports/store.ts` for what a kept one is. */
export interface Answers {
  /**
   * Resolves when the agent has it, or, where its sandbox sleeps and every slot is taken, when it is kept: the agent
   * hears it as soon as one is free.
   */
  give(asked: PermissionRecord, answer: PermissionAnswer): Promise<void>;
  /** A slot may be free: kept answers are tried again. Cheap. */
  wake(): void;
  /** As `wake`, and tells sleeping agents of the turns whose cancelling they have not heard of. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** How long the one who answers is kept waiting for a slot. */
const patienceMs = 10_000;
const callTimeoutMs = 60_000;

export function createAnswers(
  deps: Pick<Dependencies, 'store' | 'clock' | 'logger' | 'settings'>,
  sandboxes: Pick<SessionSandboxes, 'use'>,
): Answers {
  const { store, clock, logger } = deps;
  const { hostId } = deps.settings;
  const closing = new AbortController();
  const underWay = new Map<string, Promise<void>>();

  function deliver({ sessionId, requestId }: PermissionRecord, answer: PermissionAnswer, signal: AbortSignal) {
    return sandboxes.use(sessionId, signal, ({ runner }) =>
      runner.answerPermission(
        sessionId,
        requestId,
        answer,
        AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
      ),
    );
  }

  async function keep({ sessionId, requestId }: PermissionRecord, { optionId, by }: PermissionAnswer): Promise<void> {
    await store.transaction(async (tx) => {
      const asked = await tx.permission(sessionId, requestId);
      if (asked === null || asked.state !== 'open') return;
      await tx.upsertPermission({ ...asked, optionId, answeredBy: by });
      const message = 'the answer is kept: the agent hears it as soon as a slot is free';
      const data = { stage: 'permission', message, fraction: null };
      await tx.appendEvents(sessionId, [
        { at: clock.now().toISOString(), turnId: asked.turnId, type: 'progress', data },
      ]);
    });
  }

  async function deliverKept(asked: PermissionRecord): Promise<void> {
    const { sessionId, requestId, optionId, answeredBy } = asked;
    // A turn that has ended meanwhile hears no answer; one of another host hears it from that host's server.
    const [use] = await store.read.sandboxUses({ sessionId, hostId });
    if (use?.work !== 'asking') return;
    try {
      await deliver(asked, { optionId, by: answeredBy ?? '' }, closing.signal);
    } catch (error) {
      // Kept on, unless the runner has it already: then its journal says so.
      logger.debug({ sessionId, requestId, err: error }, 'a kept answer could not be given yet');
    }
  }

  async function deliverCancel(sessionId: string): Promise<void> {
    const running = await store.read.turns(sessionId, ['running']);
    const turn = running.find(({ cancelRequestedAt }) => cancelRequestedAt !== null);
    if (turn === undefined) return;
    try {
      const { signal } = closing;
      await sandboxes.use(sessionId, signal, ({ runner }) => runner.cancelTurn(sessionId, turn.id, signal));
    } catch (error) {
      logger.debug({ sessionId, turnId: turn.id, err: error }, 'a sleeping turn could not be cancelled yet');
    }
  }

  function once(key: string, work: () => Promise<void>): void {
    if (underWay.has(key) || closing.signal.aborted) return;
    underWay.set(
      key,
      work().finally(() => underWay.delete(key)),
    );
  }

  async function tellKept(): Promise<void> {
    for (const asked of await store.read.keptAnswers()) {
      once(`${asked.sessionId} ${asked.requestId}`, () => deliverKept(asked));
    }
  }

  return {
    async give(asked, answer) {
      const patience = AbortSignal.timeout(patienceMs);
      try {
        await deliver(asked, answer, patience);
      } catch (cause) {
        if (!patience.aborted && asBerthError(cause).context['reason'] !== 'no_slot') throw cause;
        await keep(asked, answer);
      }
    },
    wake() {
      if (closing.signal.aborted) return;
      void tellKept().catch((error: unknown) => logger.debug({ err: error }, 'kept answers could not be read'));
    },
    async check() {
      await tellKept();
      for (const { sessionId, work } of await store.read.sandboxUses({ hostId, statuses: ['paused', 'hibernated'] })) {
        if (work === 'busy') once(sessionId, () => deliverCancel(sessionId));
      }
    },
    async close() {
      closing.abort();
      await Promise.allSettled(underWay.values());
    },
  };
}
