import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { AgentSession } from './agent-session.ts';
import type { Clock } from './clock.ts';
import type { FloodLimits } from './flood-limit.ts';

export interface SessionRegistryOptions {
  /** Has one directory per session. */
  stateDir: string;
  clock: Clock;
  floodLimits?: FloodLimits;
}

const sessionIdPattern = /^[A-Za-z0-9_-]{1,100}$/;

/**
 * The sessions of this sandbox, opened on first use and kept. Sessions of an earlier runner are found on
 * the disk.
 */
export class SessionRegistry {
  readonly #options: SessionRegistryOptions;
  readonly #sessions = new Map<string, Promise<AgentSession>>();

  constructor(options: SessionRegistryOptions) {
    this.#options = options;
  }

  /** Throws `not_found` when there has been no such session. */
  async get(sessionId: string): Promise<AgentSession> {
    const open = this.#sessions.get(sessionId);
    if (open !== undefined) return open;
    const missing = () => new BerthError('not_found', `no session ${sessionId}`);
    if (!sessionIdPattern.test(sessionId)) throw missing();
    await stat(join(this.#options.stateDir, sessionId, 'journal.jsonl')).catch(() => {
      throw missing();
    });
    return this.getOrMake(sessionId);
  }

  /** Throws `invalid_request` for an id that cannot name a directory, `resource_exhausted`. */
  getOrMake(sessionId: string): Promise<AgentSession> {
    if (!sessionIdPattern.test(sessionId)) {
      return Promise.reject(
        new BerthError('invalid_request', 'a session id has letters, digits, _ and -', { field: 'id' }),
      );
    }
    let session = this.#sessions.get(sessionId);
    if (session === undefined) {
      const { stateDir, ...rest } = this.#options;
      session = AgentSession.open({ ...rest, sessionId, directory: join(stateDir, sessionId) });
      this.#sessions.set(sessionId, session);
      // A failed opening can be tried again.
      session.catch(() => this.#sessions.delete(sessionId));
    }
    return session;
  }

  /** Ends all agents and lets go of all journals. */
  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.allSettled(sessions.map(async (session) => (await session).close()));
  }
}
