import type { SandboxRecord, SandboxUse } from '../ports/store.ts';
import type { SandboxesContext } from './context.ts';

/** `asking`: a turn runs, but waits for an answer only. */
export type Activity = 'busy' | 'asking' | 'idle';

export async function activityOf(context: SandboxesContext, sessionId: string): Promise<Activity> {
  if (isHeld(context, sessionId)) return 'busy';
  const [use] = await context.deps.store.read.sandboxUses({ sessionId });
  return use === undefined || use.work === 'none' ? 'idle' : use.work;
}

export interface Unused extends SandboxUse {
  work: 'none' | 'asking';
  lastUsedMs: number;
}

/** What nobody uses, longest first; those that ask come after those that are done. */
export async function unusedSessions(
  context: SandboxesContext,
  statuses: readonly SandboxRecord['status'][],
): Promise<Unused[]> {
  const unused: Unused[] = [];
  for (const { work, ...use } of await context.deps.store.read.sandboxUses({
    hostId: context.deps.settings.hostId,
    statuses,
  })) {
    if (work === 'busy' || isHeld(context, use.sessionId)) continue;
    const known = context.entries.find(use.sessionId)?.lastUsedMs ?? 0;
    unused.push({ ...use, work, lastUsedMs: Math.max(known, Date.parse(use.lastUsedAt)) });
  }
  const rank = (each: Unused) => (each.work === 'asking' ? 1 : 0);
  return unused.sort((a, b) => rank(a) - rank(b) || a.lastUsedMs - b.lastUsedMs);
}

function isHeld({ entries }: SandboxesContext, sessionId: string): boolean {
  const entry = entries.find(sessionId);
  return entry !== undefined && (entry.uses > 0 || entry.ensuring !== null);
}
