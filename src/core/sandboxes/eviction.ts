import { unusedSessions } from './activity.ts';
import type { SandboxesContext } from './context.ts';
import { awake, restingStep } from './idle-policy.ts';
import type { RestSession } from './resting.ts';

/** Takes the slot of the longest unused sandbox: hibernated where the provider can, else stopped. False when every one is busy. */
export async function evictOne(context: SandboxesContext, restSession: RestSession): Promise<boolean> {
  const step = restingStep(context.deps.provider.capabilities);
  for (const { sessionId, work } of await unusedSessions(context, awake)) {
    // A question must outlive its sandbox's sleep: only a memory image keeps the agent that asks.
    if (work === 'asking' && step !== 'hibernate') continue;
    if (await restSession(sessionId, step, 'its slot was needed', true)) return true;
  }
  return false;
}
