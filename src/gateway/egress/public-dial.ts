import { lookup, type LookupAddress } from 'node:dns';
import { connect, isIP, type Socket } from 'node:net';
import { isReachable } from '../../core/private-addresses.ts';
import { BerthError } from '../../protocol/errors.ts';

/** All addresses of a name, as the machine resolves it. Rejects when there is none. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

export interface PublicDialOptions {
  /** Lets sandboxes reach this machine's loopback: for tests and development. */
  allowLoopback: boolean;
  resolve?: Resolve;
  /** Of each address. Default 10 s. */
  connectTimeoutMs?: number;
}

/** Opens a TCP connection to a public address. Throws `forbidden` for a private one, `unavailable` when nobody answers. */
export type PublicDial = (host: string, port: number, signal: AbortSignal) => Promise<Socket>;

const resolveTimeoutMs = 10_000;

/**
 * The name is resolved here, once, and the connection goes to an address that was checked: a name that answers
 * differently the second time gains nothing. A name with any private address is refused whole.
 */
export function createPublicDial({
  allowLoopback,
  resolve = resolveBySystem,
  connectTimeoutMs = 10_000,
}: PublicDialOptions): PublicDial {
  const isAllowed = (address: string) => isReachable(address, { allowLoopback });

  return async (host, port, signal) => {
    const addresses = isIP(host) === 0 ? await resolved(resolve, host, signal) : [{ address: host, family: isIP(host) }];
    if (addresses.length === 0) throw new BerthError('unavailable', `${host} has no address`);
    if (!addresses.every(({ address }) => isAllowed(address))) {
      throw new BerthError('forbidden', `${host} is not a public address`);
    }
    let failure: unknown;
    for (const { address } of addresses) {
      try {
        return await connected(address, port, AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)]));
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
    }
    throw new BerthError('unavailable', `${host} does not answer on port ${port}`, { cause: failure });
  };
}

async function resolved(resolve: Resolve, host: string, signal: AbortSignal): Promise<readonly LookupAddress[]> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(resolveTimeoutMs)]);
  try {
    return await Promise.race([resolve(host), aborted(late)]);
  } catch (cause) {
    signal.throwIfAborted();
    throw new BerthError('unavailable', `${host} could not be found`, { cause });
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

function connected(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true, signal });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

const resolveBySystem: Resolve = (host) =>
  new Promise((settle, fail) => {
    lookup(host, { all: true }, (error, addresses) => (error === null ? settle(addresses) : fail(error)));
  });
