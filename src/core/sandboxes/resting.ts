import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { activityOf, type Activity } from './activity.ts';
import type { Ensure } from './bring-up.ts';
import { nowOf, type SandboxesContext } from './context.ts';
import { restsAsDeep, type RestStep } from './idle-policy.ts';
import { sandboxOf } from './records.ts';
import { setSandboxStatus } from './settle.ts';

/**
 * Puts a session's sandbox to rest; false when there was nothing to do. `onlyIfUnused`: work that came meanwhile
 * goes first, and what cannot be kept in memory is stopped. Else both are told: `conflict`, and the provider's error.
 */
export type RestSession = (
  sessionId: string,
  step: RestStep,
  reason: string,
  onlyIfUnused: boolean,
) => Promise<boolean>;

const restStatus = { pause: 'paused', hibernate: 'hibernated', stop: 'stopped', archive: 'stopped' } as const;

export function createResting(context: SandboxesContext, ensure: Ensure): RestSession {
  const { deps, entries, events, closing } = context;

  const restSession: RestSession = async (sessionId, step, reason, onlyIfUnused) => {
    const rested = await entries.serialised(sessionId, async () => {
      // Work may have come since the caller looked.
      const activity = await activityOf(context, sessionId);
      if (activity === 'busy' && onlyIfUnused) return false;
      refuseWhile(activity, step);
      const session = await deps.store.read.session(sessionId);
      const sandbox = await sandboxOf(deps, session);
      const archivedAt = step === 'archive' ? (session?.archivedAt ?? nowOf(context)) : null;
      if (sandbox === null || restsAsDeep(sandbox.status, step)) {
        if (archivedAt !== null && session?.archivedAt === null) {
          await deps.store.transaction((tx) => tx.updateSession(sessionId, { archivedAt }));
        }
        return false;
      }
      // Streams to the runner must be closed before it is frozen; they are opened again on need.
      await entries.disconnect(sessionId);
      try {
        await deps.providers.of(sandbox.provider)[step === 'archive' ? 'stop' : step](sandbox.id, { signal: closing });
      } catch (error) {
        // The provider left it as it was, and so is it here; the next access connects again.
        deps.logger.warn({ sessionId, step, err: error }, 'a sandbox could not be put to rest');
        if (restStatus[step] === 'stopped') throw error;
        if (!onlyIfUnused) {
          if (activity === 'asking') follow(sessionId);
          throw error;
        }
        return restFurther(sessionId, sandbox, step, reason, error);
      }
      const why = activity === 'asking' ? `${reason}; the answer wakes it` : reason;
      await setSandboxStatus(deps, sessionId, sandbox.id, restStatus[step], why, archivedAt);
      return true;
    });
    if (rested && step !== 'pause') events.onSlotFreed();
    return rested;
  };

  /** An idle sandbox whose memory cannot be kept is stopped when its slot is to be freed; one that asks is left running. */
  async function restFurther(
    sessionId: string,
    sandbox: SandboxRecord,
    step: RestStep,
    reason: string,
    cause: unknown,
  ): Promise<boolean> {
    if (step !== 'hibernate' || (await activityOf(context, sessionId)) !== 'idle') {
      follow(sessionId);
      return false;
    }
    await deps.providers.of(sandbox.provider).stop(sandbox.id, { signal: closing });
    const why = `${reason}; its processes were ended: ${asBerthError(cause).message}`;
    await setSandboxStatus(deps, sessionId, sandbox.id, 'stopped', why);
    return true;
  }

  /** Reads on from a sandbox with a turn under way, after its streams were closed for nothing. */
  function follow(sessionId: string): void {
    void ensure(sessionId, closing)
      .then((connection) => connection.follow())
      .catch((error: unknown) => deps.logger.warn({ sessionId, err: error }, 'could not connect again'));
  }

  return restSession;
}

function refuseWhile(activity: Activity, step: RestStep): void {
  if (activity === 'busy') {
    throw new BerthError('conflict', 'the session is at work; interrupt it first', { field: 'id' });
  }
  if (activity === 'asking' && restStatus[step] === 'stopped') {
    const message = 'the agent waits for an answer, which it would not live to hear; answer it, or interrupt it first';
    throw new BerthError('conflict', message, { field: 'step' });
  }
}
