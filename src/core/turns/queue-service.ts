import type { Priority, QueueOverview } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Dependencies } from '../dependencies.ts';
import type { DeadLetterFilter, DeadLetterRecord, SessionFilter, TurnRecord } from '../ports/store.ts';
import { visibleSessions } from '../users/visibility.ts';
import { toWaitSeconds } from './admission.ts';
import { admitTurn } from './admit-turn.ts';
import type { Dispatcher } from './dispatcher.ts';
import { estimateError } from './estimate-error.ts';
import { viewQueue } from './queue-view.ts';
import { priorities } from './turn-states.ts';

/** What can be seen of the queue and done about what failed in it. */
export interface QueueService {
  /** With the turns of sessions that the filter lets be seen; their places count all. */
  overview(filter?: Pick<SessionFilter, 'visibleTo'>): Promise<QueueOverview>;
  deadLetters(filter: DeadLetterFilter): Promise<DeadLetterRecord[]>;
  /**
   * Admits the failed turn's prompt again in its session, as a turn of its own; a second replay gives that same
   * turn. Throws `not_found` for a turn that is no dead letter.
   */
  replay(turnId: string, by: string): Promise<TurnRecord>;
}

export function createQueueService(deps: Dependencies, dispatcher: Pick<Dispatcher, 'announce'>): QueueService {
  const { store, clock } = deps;

  return {
    async overview(filter = {}) {
      const { state, hosts, places, measured } = await viewQueue(deps, store.read);
      const nowMs = clock.now().getTime();
      const sessions = await visibleSessions(store.read, filter, state.queued.map(({ sessionId }) => sessionId));
      const shown = state.queued.filter(({ sessionId }) => sessions.has(sessionId));
      const turns = new Map(shown.map((turn) => [turn.id, turn]));
      return {
        slots: hosts.reduce((sum, { slots, live }) => sum + (live ? slots : 0), 0),
        running: state.active.length,
        // `places` is in the order of the expected starts.
        queued: [...places].flatMap(([turnId, place]) => {
          const turn = turns.get(turnId);
          if (turn === undefined) return [];
          return {
            turnId,
            sessionId: turn.sessionId,
            owner: turn.owner,
            priority: priorityName(turn.priority),
            position: place.position,
            estimatedWaitSeconds: toWaitSeconds(place.waitMs),
            waitedSeconds: Math.max(0, Math.round((nowMs - Date.parse(turn.createdAt)) / 1000)),
            retryAt: turn.retryAt,
            away: place.away,
            quota: place.quota,
          };
        }),
        estimate: estimateError(measured),
      };
    },

    deadLetters: (filter) => store.read.deadLetters(filter),

    async replay(turnId, by) {
      const letter = await store.read.deadLetter(turnId);
      const failed = await store.read.turn(turnId);
      if (letter === null || failed === null) {
        throw new BerthError('not_found', `turn ${turnId} is no dead letter`, { field: 'turnId' });
      }
      const turn = await admitTurn(
        deps,
        letter.sessionId,
        {
          prompt: failed.prompt,
          priority: priorityName(failed.priority),
          idempotencyKey: `replay:${turnId}`,
          webhookEvents: failed.webhookEvents,
          ...(failed.webhookUrl === null ? {} : { webhookOnReady: failed.webhookUrl }),
        },
        by,
        async (tx, admitted) => {
          await tx.upsertDeadLetter({ ...letter, replayedAt: admitted.createdAt, replayTurnId: admitted.id });
          const { sessionId } = letter;
          await tx.appendAudit([
            {
              at: admitted.createdAt,
              actor: actorOf(by),
              action: 'dead_letter.replayed',
              target: turnId,
              sessionId,
              detail: { turn: admitted.id },
            },
          ]);
        },
      );
      dispatcher.announce((await store.read.session(letter.sessionId))?.hostId ?? null);
      return (await store.read.turn(turn.id)) ?? turn;
    },
  };
}

function priorityName(priority: number): Priority {
  if (priority >= priorities.premium) return 'premium';
  return priority >= priorities.normal ? 'normal' : 'background';
}
