import { ipv4Ranges, ipv6Ranges } from '../../core/private-addresses.ts';
import { linkPrefix, tableName, type GuestAddresses, type LinkNames } from './names.ts';

/** Connections that one sandbox may have open at once: the host's table of them is everybody's. */
const maxConnections = 1024;
/** Before the filters of others, who may drop what is accepted here and never the other way round. */
const priority = -10;

/**
 * The table of an installation: what all its sandboxes may and may not. Loading it again changes nothing but brings an
 * older version's rules up to date; the chains of sandboxes stay. Everything that comes from a sandbox and is not allowed here is
 * refused, also from an interface that has no chain (yet):
 *
 * - to the host itself: nothing but the neighbour solicitations that IPv6 needs, and few of those: the host notes whom they are from;
 * - through the host: what its own chain says, which begins with the source address being its own;
 * - to a sandbox: answers only, from anywhere, the host included.
 *
 * Port forwards and service addresses of the host are translated before these rules look, so the address that is
 * judged is the one that is reached.
 */
export function tableRules(installation: string): string {
  const table = tableName(installation);
  const ours = `"${linkPrefix(installation)}*"`;
  const ranges = (list: readonly [string, number][]) => list.map(([network, length]) => `${network}/${length}`).join(', ');
  return `
table inet ${table} {
  set private4 { type ipv4_addr; flags interval; auto-merge; }
  set private6 { type ipv6_addr; flags interval; auto-merge; }
  set connections4 { type ipv4_addr; flags dynamic; size 65535; }
  set connections6 { type ipv6_addr; flags dynamic; size 65535; }
  set neighbours { type ifname; flags dynamic; size 65535; }
  map sandboxes { type ifname : verdict; }
  chain allowed { }
  chain from_outside { }
  chain from_host { }
  chain to_host { }
  chain forward { type filter hook forward priority ${priority}; policy accept; }
  chain input { type filter hook input priority ${priority}; policy accept; }
  chain output { type filter hook output priority ${priority}; policy accept; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; }
}
flush set inet ${table} private4
flush set inet ${table} private6
${['allowed', 'from_outside', 'from_host', 'to_host', 'forward', 'input', 'output', 'postrouting'].map((chain) => `flush chain inet ${table} ${chain}`).join('\n')}
table inet ${table} {
  set private4 { type ipv4_addr; flags interval; auto-merge; elements = { ${ranges(ipv4Ranges)} } }
  set private6 { type ipv6_addr; flags interval; auto-merge; elements = { ${ranges(ipv6Ranges)} } }
  chain allowed {
    ip daddr @private4 return
    ip6 daddr @private6 return
    fib daddr type != unicast return
    oifname ${ours} return
    ct state established accept
    ct state != new return
    meta l4proto != { tcp, udp, icmp, ipv6-icmp } return
    add @connections4 { ip saddr ct count over ${maxConnections} } return
    add @connections6 { ip6 saddr ct count over ${maxConnections} } return
    accept
  }
  chain from_outside {
    ct state established accept
    ct state related meta l4proto { icmp, ipv6-icmp } accept
    drop
  }
  chain from_host {
    meta l4proto { icmp, ipv6-icmp } accept
    drop
  }
  chain to_host {
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 update @neighbours { iifname limit rate 5/second burst 20 packets } accept
  }
  chain forward {
    iifname ${ours} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    iifname vmap @sandboxes
    iifname ${ours} drop
    oifname ${ours} jump from_outside
  }
  chain input {
    iifname ${ours} jump to_host
    iifname vmap @sandboxes
    iifname ${ours} drop
  }
  chain output {
    oifname ${ours} jump from_host
  }
  chain postrouting {
    iifname ${ours} oifname != ${ours} masquerade
  }
}
`;
}

/**
 * A sandbox's own chain, for what it sends through the host and to it. What it asks for and what it is refused is counted; a
 * refusal is told, so that a program fails at once instead of waiting, but to the sandbox's own address only.
 */
export function sandboxRules(installation: string, { link, chain }: LinkNames, { ipv4, ipv6 }: GuestAddresses): string {
  const table = tableName(installation);
  return `
add chain inet ${table} ${chain}
flush chain inet ${table} ${chain}
table inet ${table} {
  chain ${chain} {
    ct state new counter comment "asked"
    ip saddr ${ipv4} fib daddr type != local jump allowed
    ip6 saddr ${ipv6} fib daddr type != local jump allowed
    counter comment "refused"
    ip saddr ${ipv4} reject with icmp type admin-prohibited
    ip6 saddr ${ipv6} reject with icmpv6 type admin-prohibited
    drop
  }
}
add element inet ${table} sandboxes { "${link}" : goto ${chain} }
`;
}

/** Whether it is there or not. */
export function withoutSandbox(installation: string, { link, chain }: LinkNames): string {
  const table = tableName(installation);
  return `
add chain inet ${table} ${chain}
add element inet ${table} sandboxes { "${link}" : goto ${chain} }
delete element inet ${table} sandboxes { "${link}" }
flush chain inet ${table} ${chain}
delete chain inet ${table} ${chain}
`;
}

export function withoutTable(installation: string): string {
  const table = tableName(installation);
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}
