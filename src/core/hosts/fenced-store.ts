import { BerthError } from '../../protocol/errors.ts';
import type { Store } from '../ports/store.ts';

/**
 * The store as the server of one host may use it: a transaction is refused with `unavailable` unless the host is
 * registered under this server's epoch and its lease has not run out, which is looked at in the transaction itself. So
 * a server that was away (its process stopped, its network cut) changes nothing until it has registered anew, whatever
 * it was in the middle of. Reads are free.
 */
export function fencedStore(store: Store, hostId: string, epoch: () => number): Store {
  return {
    ...store,
    transaction: (fn, options) =>
      store.transaction(async (tx) => {
        if (!(await tx.holdsLease(hostId, epoch()))) {
          throw new BerthError('unavailable', 'this server was away for longer than its lease; it registers anew', {
            context: { hostId },
          });
        }
        return fn(tx);
      }, options),
  };
}
