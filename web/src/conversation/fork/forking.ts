import { createContext, useContext } from 'react';

/** What can be done with the moments of a conversation; given by the session's page to everything in it. */
export interface Forking {
  /** The person may have copies of it. */
  allowed: boolean;
  /** A new session that begins as this one stands now, or stood at the snapshot, and goes there. */
  fork(snapshot: string | null): void;
  /** As `fork`, from the end of the turn whose item this is; says why not where nothing was kept of it. */
  forkFromTurn(itemKey: string): void;
  /** Snapshots that there still are, by id. */
  snapshots: ReadonlySet<string>;
  /** The list of snapshots, and making one. */
  openSnapshots(): void;
}

export const ForkingContext = createContext<Forking | null>(null);

export function useForking(): Forking {
  const forking = useContext(ForkingContext);
  if (forking === null) throw new Error('this is not within a session');
  return forking;
}
