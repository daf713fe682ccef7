/** What has happened in the pool since this process started. */
export interface PoolFigures {
  /** Sandboxes put to rest because their slot was needed. */
  evictions: number;
  /** First sandboxes of sessions: taken warm, or made when they were needed. */
  warmClaims: number;
  coldStarts: number;
}

export function createPoolFigures(): PoolFigures {
  return { evictions: 0, warmClaims: 0, coldStarts: 0 };
}
