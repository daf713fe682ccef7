import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { HostRegistration, Store } from '../ports/store.ts';
import { fencedStore } from './fenced-store.ts';

/**
 * This server's place among those on one database.
 *
 * Registering gives its host a new epoch, in a transaction that runs alone: whatever an earlier server of the host had
 * begun has ended, and nothing of it can begin. The lease is renewed three times in its length. One that ran out is not
 * renewed: the server registers anew, and takes up its turns again.
 */
export interface Membership {
  /** The store, fenced by this server's epoch. */
  store: Store;
  /** Called when the host was away and is back under a new epoch; what it has may have been forgotten meanwhile. */
  onReturn(listener: () => Promise<void>): void;
  /** Ends the renewing, and the lease with it, where the database can be reached. */
  close(): Promise<void>;
}

export interface MembershipOptions {
  /** Not fenced. */
  store: Store;
  clock: Clock;
  logger: Logger;
  /** `leaseMs` is `null` where no other server can be: then nothing is renewed and nothing fenced. */
  host: Omit<HostRegistration, 'registeredAt'>;
}

const renewals = 3;

/** Registers the host. */
export async function joinHosts({ store, clock, logger, host }: MembershipOptions): Promise<Membership> {
  const closing = new AbortController();
  let listener: () => Promise<void> = async () => {};
  let epoch = await register();

  function register(): Promise<number> {
    return store.transaction(
      async (tx) => {
        const registered = await tx.registerHost({ ...host, registeredAt: clock.now().toISOString() });
        const isOnly = (await tx.hosts()).length === 1;
        if (isOnly) await tx.adoptUnowned(host.id);
        return registered;
      },
      { alone: true },
    );
  }

  async function renew(leaseMs: number): Promise<void> {
    if (await store.transaction((tx) => tx.renewLease(host.id, epoch, leaseMs))) return;
    epoch = await register();
    logger.warn({ hostId: host.id, epoch }, 'this host was away for longer than its lease, and has registered anew');
    await listener();
  }

  async function renewForever(leaseMs: number): Promise<void> {
    while (!closing.signal.aborted) {
      await clock.sleep(leaseMs / renewals, closing.signal).catch(() => {});
      if (closing.signal.aborted) return;
      await renew(leaseMs).catch((error: unknown) =>
        logger.warn({ hostId: host.id, err: error }, 'the lease of this host was not renewed'),
      );
    }
  }

  const { leaseMs } = host;
  const renewing = leaseMs === null ? Promise.resolve() : renewForever(leaseMs);
  return {
    store: leaseMs === null ? store : fencedStore(store, host.id, () => epoch),
    onReturn(next) {
      listener = next;
    },
    async close() {
      closing.abort();
      await renewing;
      if (leaseMs === null) return;
      await store
        .transaction((tx) => tx.renewLease(host.id, epoch, 0))
        .catch((error: unknown) => logger.debug({ err: error }, 'the lease runs out by itself'));
    },
  };
}
