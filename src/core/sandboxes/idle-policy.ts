import type { SandboxCapabilities } from '../ports/sandbox-provider.ts';
import type { SandboxRecord } from '../ports/store.ts';

/**
 * What becomes of a session that nobody uses, by how long: it is paused (memory kept, its slot held),
 * then hibernated (memory on disk, its slot free), then archived (processes ended, disk kept). Any
 * access brings it back. `null` leaves a step out.
 */
export interface IdlePolicy {
  pauseMs: number | null;
  hibernateMs: number | null;
  archiveMs: number | null;
  /** A turn that waits for an answer may hibernate too: its question stays open, and answerable. */
  hibernateAskingMs: number | null;
}

/** A session's own times; what it does not name is the pool's. */
export type IdlePolicyOverride = { [Step in keyof IdlePolicy]?: IdlePolicy[Step] | undefined };

export type RestStep = 'pause' | 'hibernate' | 'stop';

/** The step that is due, or `null`. The furthest one that is due is taken, so that a long sleep of the server skips none. */
export function dueStep(
  status: SandboxRecord['status'],
  idleMs: number,
  asking: boolean,
  policy: IdlePolicy,
  capabilities: Pick<SandboxCapabilities, 'pause' | 'hibernate'>,
): RestStep | null {
  const isDue = (limitMs: number | null) => limitMs !== null && idleMs >= limitMs;
  if (asking) {
    return isDue(policy.hibernateAskingMs) && isAwake(status) && capabilities.hibernate !== 'none' ? 'hibernate' : null;
  }
  if (isDue(policy.archiveMs) && (isAwake(status) || status === 'hibernated')) return 'stop';
  if (isDue(policy.hibernateMs) && isAwake(status)) return restingStep(capabilities);
  if (isDue(policy.pauseMs) && status === 'running' && capabilities.pause === 'memory') return 'pause';
  return null;
}

/** How a sandbox gives its slot back: with its processes where the provider can, else without. */
export function restingStep(capabilities: Pick<SandboxCapabilities, 'hibernate'>): 'hibernate' | 'stop' {
  return capabilities.hibernate === 'none' ? 'stop' : 'hibernate';
}

export function isAwake(status: SandboxRecord['status']): boolean {
  return status === 'running' || status === 'paused';
}
