import { unusedSessions } from './activity.ts';
import type { SandboxesContext } from './context.ts';
import { isAwake, restingStep } from './idle-policy.ts';
import type { RestSession } from './resting.ts';

/** Takes the slot of the longest unused sandbox: hibernated where the provider can, else stopped. False when every one is busy. */
export async function evictOne(context: SandboxesContext, restSession: RestSession): Promise<boolean> {
  const step = restingStep(context.deps.provider.capabilities);
  for (const { sessionId, status, activity } of await unusedSessions(context)) {
    // A question must outlive its sandbox's sleep: only a memory image keeps the agent that asks.
    if (!isAwake(status) || (activity === 'asking' && step !== 'hibernate')) continue;
    if (await restSession(sessionId, step, 'its slot was needed', true)) return true;
  }
  return false;
}
