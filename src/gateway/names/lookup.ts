import { Resolver } from 'node:dns/promises';
import type { Answer } from 'dns-packet';

/** The kinds of records that a sandbox may ask for. */
export const knownTypes = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'SRV', 'TXT'] as const;
export type KnownType = (typeof knownTypes)[number];

/**
 * The records of a name; empty when it has none of the kind. Rejects with a DNS error code (`ENOTFOUND`, `ESERVFAIL`, `ETIMEOUT`).
 */
export type Lookup = (name: string, type: KnownType) => Promise<Answer[]>;

/** Of records whose own is not told. */
const ttlSeconds = 60;

/**
 * Asks name servers directly, the machine's unless others are named (`address` or `address:port`): the system's resolver
 * would take a thread of the server's few for each question.
 */
export function createLookup(servers: readonly string[] | null): Lookup {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  if (servers !== null) resolver.setServers([...servers]);
  const ttl = ttlSeconds;
  return async (name, type) => {
    switch (type) {
      case 'A':
        return (await resolver.resolve4(name, { ttl: true })).map((each) => ({ type, name, ttl: each.ttl, data: each.address }));
      case 'AAAA':
        return (await resolver.resolve6(name, { ttl: true })).map((each) => ({ type, name, ttl: each.ttl, data: each.address }));
      case 'CNAME':
        return (await resolver.resolveCname(name)).map((data) => ({ type, name, ttl, data }));
      case 'NS':
        return (await resolver.resolveNs(name)).map((data) => ({ type, name, ttl, data }));
      case 'MX':
        return (await resolver.resolveMx(name)).map(({ priority, exchange }) => ({ type, name, ttl, data: { preference: priority, exchange } }));
      case 'SRV':
        return (await resolver.resolveSrv(name)).map(({ name: target, port, priority, weight }) => ({ type, name, ttl, data: { target, port, priority, weight } }));
      case 'TXT':
        return (await resolver.resolveTxt(name)).map((data) => ({ type, name, ttl, data }));
    }
  };
}
