import { BlockList, isIP } from 'node:net';
import type { Context } from 'hono';
import type { AppEnv } from '../context.ts';
import type { Connection } from '../policy/open-requests.ts';

/** Whether an address is one of a proxy in front of this server, whose word counts for who is behind it. */
export type IsTrustedProxy = (address: string) => boolean;

/** Of addresses and networks: `10.0.0.0/8`, `::1`. Throws `TypeError`. */
export function trustedProxies(entries: readonly string[]): IsTrustedProxy {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = familyOf(address);
    if (family === null || (bits !== undefined && !isPrefix(bits, family))) {
      throw new TypeError(`"${entry}" is not an address or a network such as 10.0.0.0/8`);
    }
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    const family = familyOf(address);
    return family !== null && list.check(address, family);
  };
}

/**
 * By what a caller without a token is counted: his address; of IPv6 the network of 64 bits that one household has. Behind
 * proxies that are trusted it is the last in `x-forwarded-for` that is none of them: what is before it anybody can write.
 */
export function clientAddress(c: Context<AppEnv>, isTrusted: IsTrustedProxy): string {
  const connection = c.env as Connection | undefined;
  let address = plain(connection?.incoming?.socket.remoteAddress ?? '');
  const hops = (c.req.header('x-forwarded-for') ?? '').split(',').map((hop) => plain(hop.trim()));
  while (isTrusted(address)) {
    const hop = hops.pop();
    if (hop === undefined || isIP(hop) === 0) break;
    address = hop;
  }
  return isIP(address) === 6 ? networkOf(address) : address;
}

function familyOf(address: string): 'ipv4' | 'ipv6' | null {
  const version = isIP(address);
  return version === 0 ? null : version === 4 ? 'ipv4' : 'ipv6';
}

function isPrefix(bits: string, family: 'ipv4' | 'ipv6'): boolean {
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 'ipv4' ? 32 : 128);
}

/** An IPv4 address that a socket for both kinds tells of is one of IPv4. */
function plain(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

function networkOf(address: string): string {
  const [head = '', tail = ''] = address.replace(/%.*$/, '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const gap = address.includes('::') ? Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0') : [];
  const groups = [...left, ...gap, ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
