/**
 * The queue's bell: it tells servers that there is work to look for. Who waits, in which order, and who has what is
 * the store's alone, so that a driver may lose everything it holds: each server also looks by itself every so often.
 */
export interface Queue {
  readonly name: 'store' | 'redis';
  /**
   * Says that there is work: `any` for servers with room, a host's id for the one server of that host. Not waited for, never
   * fails; said again before someone looked it counts once. `at`: not before that time, as for a retry.
   */
  announce(to: string, at?: Date): void;
  /**
   * Begins to be told. `look` resolves, when the server has looked, to whether it has room for more; one without room
   * is not told of what is for any, and what it could not take is told to another, until `hasRoom`.
   * Called once. Does not throw when the broker is away: it is told when it is back.
   */
  listen(hostId: string, look: () => Promise<boolean>): Promise<void>;
  /** A slot came free: this server is told again of what is for any. Cheap. */
  hasRoom(): void;
  /** Resolves when no `look` of this driver is under way and its connections are gone. */
  close(): Promise<void>;
}

/** The address of every server with room. */
export const anyHost = 'any';
