import { gateways, guestLink, hostAddress, linkLocalLength, type GuestAddresses, type LinkNames } from './names.ts';

/**
 * A shell script that gives the network namespace of the process `$1` its way out: a pair of interfaces, one end in there
 * with its addresses and routes. Run where the other end is to be, also by a runtime that restores processes, before
 * their connections are. An interface of the name is a leftover.
 */
export function linkScript({ link }: LinkNames, addresses: GuestAddresses, hasIpv6: boolean): string {
  const { ipv4, ipv6 } = addresses;
  const inside = [
    'link set dev lo up',
    `address add ${ipv4} peer ${gateways.ipv4} dev ${guestLink}`,
    ...(hasIpv6 ? [`address add ${ipv6}/128 dev ${guestLink} nodad`] : []),
    `link set dev ${guestLink} up`,
    `route add default via ${gateways.ipv4} dev ${guestLink}`,
    ...(hasIpv6 ? [`route add default via ${gateways.ipv6} dev ${guestLink}`] : []),
  ];
  return `set -e
ip link delete dev ${link} 2>/dev/null || true
ip link add name ${link} type veth peer name ${guestLink} netns "$1"
${hostEnd(link, addresses, hasIpv6)}
nsenter --target "$1" --net -- ${batch(inside)}
`;
}

/**
 * As `linkScript`, for a machine's network card: an interface that a process of the user `$1` can open, and nobody else. Its address
 * is always the same, for a guest that was woken knows it from before.
 */
export function cardScript({ link }: LinkNames, addresses: GuestAddresses, hasIpv6: boolean): string {
  return `set -e
ip link delete dev ${link} 2>/dev/null || true
ip tuntap add dev ${link} mode tap user "$1"
ip link set dev ${link} address ${hostAddress}
${hostEnd(link, addresses, hasIpv6)}
`;
}

function hostEnd(link: string, { ipv4, ipv6 }: GuestAddresses, hasIpv6: boolean): string {
  const settings = (family: string) => `/proc/sys/net/${family}/conf/${link}`;
  return `ip link set dev ${link} addrgenmode none
echo 1 > ${settings('ipv4')}/forwarding
echo 0 > ${settings('ipv4')}/accept_redirects
# A guest speaks for its own address, and asks for the next hop alone.
echo 1 > ${settings('ipv4')}/rp_filter
echo 1 > ${settings('ipv4')}/arp_ignore
[ ! -e ${settings('ipv6')} ] || echo 0 > ${settings('ipv6')}/accept_ra
${batch([
  `address add ${gateways.ipv4}/32 dev ${link}`,
  ...(hasIpv6 ? [`address add ${gateways.ipv6}/${linkLocalLength} dev ${link} nodad`] : []),
  `link set dev ${link} up`,
  `route add ${ipv4}/32 dev ${link}`,
  ...(hasIpv6 ? [`route add ${ipv6}/128 dev ${link}`] : []),
])}`;
}

const batch = (lines: readonly string[]) => `ip -batch - <<'END'\n${lines.join('\n')}\nEND`;
