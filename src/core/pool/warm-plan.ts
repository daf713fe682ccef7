import type { SandboxRecord } from '../ports/store.ts';

/** Which warm sandboxes there are to be. */
export interface WarmSettings {
  /** How many that any session may claim; 0: none are kept, of repositories neither. */
  count: number;
  /** Repositories whose objects are kept on this machine, and in one warm sandbox each. */
  preclone: readonly string[];
  /** Whether the objects of the repositories that are connected are kept here too. */
  mirrorConnected: boolean;
}

export function keepsMirrors({ preclone, mirrorConnected }: WarmSettings): boolean {
  return mirrorConnected || preclone.length > 0;
}

export interface WarmPlan {
  /** What is missing, first the most wanted; `null` is one that any session may claim. */
  missing: (string | null)[];
  surplus: SandboxRecord[];
  wanted: number;
}

/**
 * Warm sandboxes lie in free slots: with what sessions hold there are never more of them than slots. A slot that a
 * session needs is not free any more, whatever lies in it, so that no turn ever waits for a warm one to go.
 */
export function planWarm(settings: WarmSettings, freeSlots: number, present: readonly SandboxRecord[]): WarmPlan {
  const kinds = settings.count === 0 ? [] : [...Array<null>(settings.count).fill(null), ...settings.preclone];
  const wanted = kinds.slice(0, Math.max(0, freeSlots));
  const left = [...present];
  const missing = wanted.filter((kind) => {
    const at = left.findIndex(({ warm }) => warm?.repositoryUrl === kind);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return { missing, surplus: left, wanted: wanted.length };
}
