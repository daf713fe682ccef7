import { sessionActor } from '../audit/actor.ts';
import { isTold } from '../audit/told-counts.ts';
import type { Clock } from '../ports/clock.ts';
import type { GitControl } from '../ports/git-control.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';

/** Sessions whose refusals are counted at once; the oldest is forgotten, and begins to be told anew. */
const maxCounted = 1000;
/** Refusals of a session that its log tells one by one; of more, those that the audit log has. */
const maxToldOneByOne = 20;
const maxRefs = 10;
const maxRefLength = 200;

/**
 * Tells of pushes that were refused: in the session's log, so that a person sees what the agent tried, and in the audit
 * log. An agent may try for ever, so from some number on only each power of ten is told.
 */
export function createRefusedPushes({ store, clock, logger }: { store: Store; clock: Clock; logger: Logger }): GitControl['refused'] {
  const counts = new Map<string, number>();
  return async (sessionId, { refs, reason }) => {
    const before = counts.get(sessionId) ?? 0;
    const count = before + 1;
    counts.delete(sessionId);
    counts.set(sessionId, count);
    if (counts.size > maxCounted) counts.delete(counts.keys().next().value!);
    if (count > maxToldOneByOne && !isTold(before, count)) return;
    const at = clock.now().toISOString();
    const data = { refs: refs.slice(0, maxRefs).map((ref) => ref.slice(0, maxRefLength)), reason, count };
    try {
      await store.transaction(async (tx) => {
        if ((await tx.session(sessionId)) === null) return;
        await tx.appendEvents(sessionId, [{ at, turnId: null, type: 'git.refused', data }]);
        await tx.appendAudit([
          { at, actor: sessionActor(sessionId), action: 'git.refused', target: data.refs[0] ?? null, sessionId, detail: data },
        ]);
      });
    } catch (error) {
      // The push stays refused; only the word of it is lost.
      logger.error({ sessionId, err: error }, 'a refused push could not be recorded');
    }
  };
}
