/** Counts what goes through the model gateway, and stops it at the budget. */
export interface ModelMeter {
  /**
   * Asked before a call is sent on; resolves when it may be. While a budget is reached it waits for a person's
   * answer. Throws `budget_reached` when the call is not to be made, `unavailable` when nobody answered yet and the
   * agent should ask again, and whatever the store throws: without the store no call is made.
   */
  begin(sessionId: string, signal: AbortSignal): Promise<MeteredCall>;
}

export interface MeteredCall {
  /**
   * Counts the call once, however often it is tried; to be called when it ended, in whatever way. Resolves when it is
   * stored, or when storing it was given up, which is logged. Never rejects.
   */
  end(usage: ModelCallUsage): Promise<void>;
}

export interface ModelCallUsage {
  api: string;
  model: string;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  /** The answer did not say all of it. */
  estimated: boolean;
}
