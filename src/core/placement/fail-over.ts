import { asBerthError, type ErrorCode } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import { serverActor } from '../audit/actor.ts';
import { enforceable } from '../enforceable-limits.ts';
import type { SandboxLimits } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';

/** What may be otherwise on another provider. What is wrong with the request, or was cancelled, is not. */
const elsewhere: ReadonlySet<ErrorCode> = new Set([
  'unavailable',
  'resource_exhausted',
  'upstream_failed',
  'timeout',
  'sandbox_lost',
]);

const removeTimeoutMs = 15_000;

/** A session that has nothing anywhere: no disk, no conversation, nothing of another session's. */
function hasNoState(session: SessionRecord): boolean {
  return session.baseCommit === null && session.acpSessionId === null && session.forkedFrom === null;
}

/**
 * After its first sandbox could not be made: gives the session, and the record of its sandbox, to the next provider of
 * its placement. `null` when there is none, or when this failure would be the same everywhere.
 */
export async function failOver(
  deps: Pick<Dependencies, 'store' | 'providers' | 'clock' | 'settings' | 'logger'>,
  session: SessionRecord,
  sandbox: SandboxRecord,
  cause: unknown,
): Promise<{ session: SessionRecord; sandbox: SandboxRecord } | null> {
  const { code, message } = asBerthError(cause);
  if (!elsewhere.has(code) || !hasNoState(session) || session.placement === null) return null;
  const { reason } = session.placement;
  const [next, ...others] = session.placement.others.filter((name) => deps.providers.has(name));
  if (next === undefined) return null;
  const provider = deps.providers.of(next);
  const limits = limitsOn(session.limits, deps.settings.defaultLimits, provider.capabilities);
  const failed = `${session.provider} could not make its sandbox (${code})`;
  const placement = { others, reason: `${reason}; ${failed}` };
  const at = deps.clock.now().toISOString();
  const moved = await deps.store.transaction(async (tx) => {
    const current = await tx.session(session.id);
    if (current === null || current.deletingAt !== null || !hasNoState(current)) return false;
    await tx.updateSession(session.id, { provider: next, limits, placement, updatedAt: at });
    await tx.updateSandbox(sandbox.id, { provider: next, limits, updatedAt: at });
    const text = `${failed}: ${message}; trying ${next}`;
    await tx.appendEvents(session.id, [
      { at, turnId: null, type: 'progress', data: { stage: 'sandbox', message: text, fraction: null } },
    ]);
    await tx.appendAudit([
      {
        at,
        actor: serverActor,
        action: 'session.moved',
        target: next,
        sessionId: session.id,
        detail: { from: session.provider, code },
      },
    ]);
    return true;
  });
  if (!moved) return null;
  // Nothing is left after a failed `create`; what an earlier one left half made goes now, or at the next start.
  await deps.providers
    .of(session.provider)
    .destroy(sandbox.id, { signal: AbortSignal.timeout(removeTimeoutMs) })
    .catch((error: unknown) => deps.logger.warn({ sandboxId: sandbox.id, err: error }, 'what a provider may have left was not removed'));
  deps.logger.warn({ sessionId: session.id, from: session.provider, to: next, err: cause }, 'a session goes to another provider');
  return {
    session: { ...session, provider: next, limits, placement },
    sandbox: { ...sandbox, provider: next, limits },
  };
}

/** What one provider could not enforce is the server's own limit again on one that can. */
function limitsOn(
  limits: SandboxLimits,
  defaults: SandboxLimits,
  capabilities: Parameters<typeof enforceable>[1],
): SandboxLimits {
  const whole = { ...limits };
  for (const name of Object.keys(whole) as (keyof SandboxLimits)[]) whole[name] ||= defaults[name];
  return enforceable(whole, capabilities);
}
