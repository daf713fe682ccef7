import type { SandboxRecord } from '../ports/store.ts';
import { activeTurnStates } from '../turns/turn-states.ts';
import type { SandboxesContext } from './context.ts';

/** `asking`: a turn runs, but waits for an answer only. */
export type Activity = 'busy' | 'asking' | 'idle';

export async function activityOf({ deps, entries }: SandboxesContext, sessionId: string): Promise<Activity> {
  const entry = entries.of(sessionId);
  if (entry.uses > 0 || entry.ensuring !== null) return 'busy';
  const active = await deps.store.read.turns(sessionId, activeTurnStates);
  if (active.length === 0) return 'idle';
  if (active.some((turn) => turn.state !== 'running' || turn.cancelRequestedAt !== null)) return 'busy';
  return (await deps.store.read.openPermissions(sessionId)).length > 0 ? 'asking' : 'busy';
}

export interface Unused {
  sessionId: string;
  status: SandboxRecord['status'];
  activity: 'asking' | 'idle';
  lastUsedMs: number;
}

/** What nobody uses, longest first; those that ask come after those that are done. */
export async function unusedSessions(context: SandboxesContext): Promise<Unused[]> {
  const { deps, entries } = context;
  const unused: Unused[] = [];
  for (const { sessionId, status } of await deps.store.read.sandboxes({ statuses: ['running', 'paused'] })) {
    if (sessionId === null) continue;
    const activity = await activityOf(context, sessionId);
    if (activity === 'busy') continue;
    unused.push({ sessionId, status, activity, lastUsedMs: entries.of(sessionId).lastUsedMs });
  }
  const rank = (each: Unused) => (each.activity === 'asking' ? 1 : 0);
  return unused.sort((a, b) => rank(a) - rank(b) || a.lastUsedMs - b.lastUsedMs);
}
