import type { Dependencies } from '../dependencies.ts';
import type { SessionEntries } from './entries.ts';

/** What the parts of `session-sandboxes.ts` share. */
export interface SandboxesContext {
  deps: Dependencies;
  events: SessionSandboxEvents;
  entries: SessionEntries;
  /** Fires when this process lets go; sandboxes go on. */
  closing: AbortSignal;
}

export interface SessionSandboxEvents {
  onTurnEnded: (turnId: string) => void;
  onAnswersKept: () => void;
  onSlotFreed: () => void;
  onSlotTaken: () => void;
  onEvicted: () => void;
  /** A session has got its first sandbox. */
  onFirstSandbox: (kind: 'warm' | 'cold') => void;
}

/** No operation on a sandbox takes longer, whatever the provider does. */
export const operationTimeoutMs = 15 * 60_000;

export const nowOf = ({ deps }: Pick<SandboxesContext, 'deps'>): string => deps.clock.now().toISOString();
