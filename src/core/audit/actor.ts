/** How the audit log names those who act. */
export const serverActor = 'server';

/**
 * `by` as turns and answers have it: a user's name, or one that says its kind already (`github:<login>`, `policy:<rule>`).
 */
export function actorOf(by: string): string {
  return /^(?:user|session|github|policy|server):/.test(by) || by === serverActor ? by : `user:${by}`;
}

/** The agent in a session's sandbox. */
export function sessionActor(sessionId: string): string {
  return `session:${sessionId}`;
}
