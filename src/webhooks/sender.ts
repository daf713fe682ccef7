import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { WebhookSender } from '../core/ports/webhook-sender.ts';
import { asBerthError, BerthError } from '../protocol/errors.ts';
import { isReachable } from '../core/private-addresses.ts';

/** Finds all addresses of a name, as `dns.lookup` does with `all`. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface WebhookSenderOptions {
  /** Lets webhooks reach this machine: for tests and development. */
  allowLoopback: boolean;
  userAgent: string;
  resolve?: Resolve;
}

/**
 * Sends over a connection of its own, to the very address that was checked: the check is the connection's name
 * lookup, so a name that answers differently the second time gains nothing. A name with any refused address is refused.
 */
export function createWebhookSender({
  allowLoopback,
  userAgent,
  resolve = resolveBySystem,
}: WebhookSenderOptions): WebhookSender {
  const isAllowed = (address: string) => isReachable(address, { allowLoopback });

  async function checkedAddresses(hostname: string): Promise<readonly LookupAddress[]> {
    const addresses = await resolve(hostname);
    if (addresses.length === 0) throw new BerthError('unavailable', `${hostname} has no address`);
    if (!addresses.every(({ address }) => isAllowed(address))) throw refusal(hostname);
    return addresses;
  }

  const lookup: LookupFunction = (hostname, options, callback) => {
    checkedAddresses(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (options.all === true) callback(null, [...addresses]);
        else callback(null, first?.address ?? '', first?.family ?? 0);
      },
      (error: Error) => callback(error, '', 0),
    );
  };

  return {
    async send({ url: text, headers, body }, signal) {
      const url = parse(text);
      const host = url.hostname.replace(/^\[|\]$/g, '');
      // No lookup is made for a literal address.
      if (isIP(host) !== 0 && !isAllowed(host)) throw refusal(host);
      const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
      return new Promise((settle, fail) => {
        const outgoing = request(
          url,
          {
            method: 'POST',
            headers: { ...headers, 'user-agent': userAgent, 'content-length': Buffer.byteLength(body) },
            // A pooled connection could be one that was made for another check.
            agent: false,
            lookup,
            signal,
          },
          (response) => {
            // What the receiver has to say beyond its status is not read: it may never end.
            response.on('error', () => {});
            response.destroy();
            settle({ status: response.statusCode ?? 0 });
          },
        );
        outgoing.on('error', (cause) => fail(asFailure(cause, signal, url.host)));
        outgoing.end(body);
      });
    },
  };
}

function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw new BerthError('invalid_request', 'a webhook goes to an http or https address without credentials', {
      field: 'url',
    });
  }
  return url;
}

function refusal(host: string): BerthError {
  return new BerthError('forbidden', `${host} is not a public address`);
}

function asFailure(cause: NodeJS.ErrnoException, signal: AbortSignal, host: string): BerthError {
  if (cause instanceof BerthError) return cause;
  if (signal.aborted) return asBerthError(signal.reason);
  return new BerthError('unavailable', `no answer from ${host} (${cause.code ?? cause.name})`, { cause });
}

const resolveBySystem: Resolve = (hostname) =>
  new Promise((settle, fail) => {
    systemLookup(hostname, { all: true }, (error, addresses) => (error === null ? settle(addresses) : fail(error)));
  });
