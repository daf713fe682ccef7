import { unusedSessions, type Unused } from './activity.ts';
import { openTurnStates } from '../turns/turn-states.ts';
import type { SandboxesContext } from './context.ts';
import { dueStep, effectivePolicy, isAsleep } from './idle-policy.ts';
import type { Ensure } from './bring-up.ts';
import type { RestSession } from './resting.ts';

/**
 * Puts to rest what is due by its idle policy. All are looked at by one query, so that a thousand that sleep cost
 * nothing; only what is due is touched. Resolves to the sessions whose deletion has begun by it.
 */
export async function restIdle(context: SandboxesContext, restSession: RestSession, ensure: Ensure): Promise<string[]> {
  const { deps } = context;
  await recordUses(context);
  const nowMs = deps.clock.now().getTime();
  const expired: string[] = [];
  for (const unused of await unusedSessions(context, restable)) {
    if (isAsleep(unused.status) && hasExpired(unused, nowMs)) {
      // Only its agent's runner can refuse the question, and end the turn by it.
      void ensure(unused.sessionId, context.closing).catch((error: unknown) =>
        deps.logger.warn({ sessionId: unused.sessionId, err: error }, 'a session whose question expired was not woken'),
      );
      continue;
    }
    const policy = effectivePolicy(deps.settings.idle, unused.idle);
    const step = dueStep(unused, nowMs - unused.lastUsedMs, policy, deps.providers.of(unused.provider).capabilities);
    if (step === 'destroy') {
      if (await beginExpiry(context, unused.sessionId, unused.lastUsedAt)) expired.push(unused.sessionId);
    } else if (step !== null) {
      // One that fails is tried again at the next look, and keeps no other from its rest.
      await restSession(unused.sessionId, step, 'it was idle', true).catch((error: unknown) =>
        deps.logger.warn({ sessionId: unused.sessionId, step, err: error }, 'an idle session could not be put to rest'),
      );
    }
  }
  return expired;
}

function hasExpired({ work, questionExpiresAt }: Unused, nowMs: number): boolean {
  return work === 'asking' && questionExpiresAt !== null && Date.parse(questionExpiresAt) <= nowMs;
}

const restable = ['running', 'paused', 'hibernated', 'stopped', 'broken'] as const;

/** Stores when sessions were last used, all at once: often enough for the idle policy, never once per event. */
export async function recordUses({ deps, entries }: SandboxesContext): Promise<void> {
  const uses = entries.takeUses();
  if (uses.length === 0) return;
  await deps.store.transaction(async (tx) => {
    for (const { sessionId, lastUsedMs } of uses) await tx.touchSession(sessionId, new Date(lastUsedMs).toISOString());
  });
}

/** Marks a session for deletion, unless it was used since it was looked at. */
async function beginExpiry(
  { deps, entries }: SandboxesContext,
  sessionId: string,
  lastUsedAt: string,
): Promise<boolean> {
  return deps.store.transaction(async (tx) => {
    const session = await tx.session(sessionId);
    if (session === null || session.deletingAt !== null || session.lastUsedAt > lastUsedAt) return false;
    const entry = entries.find(sessionId);
    if (entry !== undefined && (entry.uses > 0 || entry.ensuring !== null)) return false;
    if ((await tx.turns(sessionId, openTurnStates)).length > 0) return false;
    const at = deps.clock.now().toISOString();
    await tx.updateSession(sessionId, { deletingAt: at, updatedAt: at });
    return true;
  });
}
