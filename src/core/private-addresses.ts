import { BlockList, isIP } from 'node:net';

/**
 * Addresses that a URL given by a caller must not lead to: this machine, its networks, the cloud's metadata
 * service, and whatever else IANA's special-purpose registries keep off the public internet
 * (https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry). Addresses that
 * carry an IPv4 address within (mapped, NAT64, 6to4, Teredo) are refused whole but for the mapped, which are
 * judged by the address they carry. The gateway judges connections by these ranges, and the firewall of full networks is made of them.
 */
export const ipv4Ranges: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

/** All of IPv6 but what has been given out as global unicast, less the parts of that which are not. */
export const ipv6Ranges: readonly [string, number][] = [
  ['::', 96],
  ['64:ff9b::', 16],
  ['100::', 8],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['4000::', 2],
  ['8000::', 1],
];

const refused = new BlockList();
for (const [network, prefix] of ipv4Ranges) refused.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of ipv6Ranges) refused.addSubnet(network, prefix, 'ipv6');

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True for what is not an address at all, too. */
export function isPrivateAddress(address: string): boolean {
  const family = familyOf(address);
  return family === null || refused.check(address, family);
}

function isLoopback(address: string): boolean {
  const family = familyOf(address);
  return family !== null && loopback.check(address, family);
}

/** Whether a connection may go there: to what is public and, for tests and development, to this machine's loopback. */
export function isReachable(address: string, { allowLoopback }: { allowLoopback: boolean }): boolean {
  return !isPrivateAddress(address) || (allowLoopback && isLoopback(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' | null {
  const version = isIP(address);
  if (version === 0) return null;
  return version === 4 ? 'ipv4' : 'ipv6';
}
