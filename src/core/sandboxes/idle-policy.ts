import type { SandboxCapabilities } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SandboxUse } from '../ports/store.ts';

/**
 * What becomes of a session that nobody uses, by how long: it is paused (memory kept, its slot held),
 * then hibernated (memory on disk, its slot free), then archived (processes ended, disk kept). Any
 * access brings it back. `null` leaves a step out.
 */
export interface IdlePolicy {
  pauseMs: number | null;
  hibernateMs: number | null;
  archiveMs: number | null;
  /** What is done at `archiveMs`: `destroy` deletes the session, its disk and its log. */
  lastStep: 'archive' | 'destroy';
  /** A turn that waits for an answer may hibernate too: its question stays open, and answerable. */
  hibernateAskingMs: number | null;
}

/** A session's own times; what it does not name is the pool's. */
export type IdlePolicyOverride = { [Step in keyof IdlePolicy]?: IdlePolicy[Step] | undefined };

/** `archive`: stopped, and put away until it is used again. */
export type RestStep = 'pause' | 'hibernate' | 'stop' | 'archive';

/** The pool's times with a session's own over them. */
export function effectivePolicy(pool: IdlePolicy, own: IdlePolicyOverride | null): IdlePolicy {
  const given = Object.entries(own ?? {}).filter(([, value]) => value !== undefined);
  return { ...pool, ...Object.fromEntries(given) };
}

/** The step that is due, or `null`. The furthest one that is due is taken, so that a long sleep of the server skips none. */
export function dueStep(
  { status, work, archivedAt, asksForBudget = false }: Pick<SandboxUse, 'status' | 'work' | 'archivedAt'> &
    Partial<Pick<SandboxUse, 'asksForBudget'>>,
  idleMs: number,
  policy: IdlePolicy,
  capabilities: Pick<SandboxCapabilities, 'pause' | 'hibernate'>,
): RestStep | 'destroy' | null {
  const isDue = (limitMs: number | null) => limitMs !== null && idleMs >= limitMs;
  if (work === 'asking') {
    if (isDue(policy.hibernateAskingMs) && isAwake(status) && capabilities.hibernate !== 'none') return 'hibernate';
    // Its model call waits with it: an agent that stands still does not give up on the call, one that runs may.
    const mayPause = asksForBudget && status === 'running' && capabilities.pause === 'memory';
    return mayPause && isDue(policy.pauseMs) ? 'pause' : null;
  }
  if (isDue(policy.archiveMs) && canBePutAway(status)) {
    if (policy.lastStep === 'destroy') return 'destroy';
    if (archivedAt === null) return 'archive';
  }
  if (isDue(policy.hibernateMs) && isAwake(status)) return restingStep(capabilities);
  if (isDue(policy.pauseMs) && status === 'running' && capabilities.pause === 'memory') return 'pause';
  return null;
}

/** How a sandbox gives its slot back: with its processes where the provider can, else without. */
export function restingStep(capabilities: Pick<SandboxCapabilities, 'hibernate'>): 'hibernate' | 'stop' {
  return capabilities.hibernate === 'none' ? 'stop' : 'hibernate';
}

/** Not while it is made or removed: that ends in another status. */
function canBePutAway(status: SandboxRecord['status']): boolean {
  return status !== 'creating' && status !== 'destroying';
}

export const awake = ['running', 'paused'] as const satisfies readonly SandboxRecord['status'][];

const depths = { running: 0, creating: 0, paused: 1, hibernated: 2, stopped: 3, broken: 3, destroying: 3 } as const;
const stepDepths = { pause: 1, hibernate: 2, stop: 3, archive: 3 } as const;

/** Whether it rests already, as `step` would have it or more deeply. */
export function restsAsDeep(status: SandboxRecord['status'], step: RestStep): boolean {
  return depths[status] >= stepDepths[step];
}

/** Kept with its processes. */
export function isAsleep(status: SandboxRecord['status']): boolean {
  return status === 'paused' || status === 'hibernated';
}

export function isAwake(status: SandboxRecord['status']): boolean {
  return (awake as readonly string[]).includes(status);
}
