import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { Finding } from '../../core/ports/sandbox-provider.ts';
import { findProgram } from '../find-program.ts';
import { missingCapabilities } from '../host/capabilities.ts';
import { openHostNamespace, type HostNamespace } from './host-namespace.ts';
import { tableRules } from './rules.ts';

/** What the operator has set. */
export const fullNetworkSettings = z.strictObject({
  /** The network namespace (a path) that full networks go out by; `null`: the one that Berth is in. */
  namespace: z.string().startsWith('/').nullable(),
});
export type FullNetworkSettings = z.infer<typeof fullNetworkSettings>;

export interface HostCheck {
  /** Why there can be no full network; `null`: there can. */
  problem: string | null;
  /** How to get it, or more of it. */
  advice: string | null;
  ipv6: boolean;
}

const programs: Readonly<Record<string, string>> = { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux' };
/** A table that is only checked and never made. */
const sample = 'check';

/** What a sandbox has of it: an end of a pair of interfaces, or a machine's network card. */
export type Connection = 'pair' | 'card';
const cardDevice = '/dev/net/tun';

/** Looks whether this machine can give sandboxes a network of their own. Changes nothing. */
export async function checkHost({ namespace }: FullNetworkSettings, connection: Connection): Promise<HostCheck> {
  const cannot = (problem: string, advice: string | null) => ({ problem, advice, ipv6: false });
  const found = await Promise.all(Object.keys(programs).map(async (name) => [name, await findProgram(name)] as const));
  const missing = found.filter(([, path]) => path === null).map(([name]) => name);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((name) => programs[name]))].join(' ');
    return cannot(`not installed: ${missing.join(', ')}`, `apt-get install ${packages}`);
  }
  if ((await missingCapabilities()).includes('NET_ADMIN')) return cannot('Berth has no CAP_NET_ADMIN', 'run Berth as root, outside an unprivileged container');
  if (connection === 'card' && !existsSync(cardDevice)) return cannot(`there is no ${cardDevice}`, 'modprobe tun');
  if (namespace !== null && !existsSync(namespace)) return cannot(`there is no network namespace ${namespace}`, 'correct BERTH_FULL_NETWORK_NAMESPACE');
  const host = openHostNamespace(namespace);
  const entered = await host.run(['true']);
  if (entered.exitCode !== 0) return cannot(`${namespace} cannot be entered: ${entered.stderr.trim()}`, 'correct BERTH_FULL_NETWORK_NAMESPACE');
  const where = host.prefix.length === 0 ? '' : `${host.prefix.join(' ')} `;
  if (!(await isOn(host, '/proc/sys/net/ipv4/ip_forward'))) {
    return cannot('the machine does not forward packets', `${where}sysctl -w net.ipv4.ip_forward=1`);
  }
  try {
    await host.load(tableRules(sample), { check: true });
  } catch (error) {
    return cannot(`nftables refuses the rules: ${error instanceof Error ? error.message : String(error)}`, 'a kernel from 5.7 on with nf_tables, fib, connlimit and masquerade');
  }
  const ipv6 = await isOn(host, '/proc/sys/net/ipv6/conf/all/forwarding');
  return { problem: null, advice: ipv6 ? null : `for IPv6: ${where}sysctl -w net.ipv6.conf.all.forwarding=1`, ipv6 };
}

/** For `berth doctor`. `settings` is `null` while the operator has not asked for it. */
export async function fullNetworkFinding(settings: FullNetworkSettings | null, connection: Connection | 'none'): Promise<Finding> {
  const subject = 'full network';
  const without = 'sandboxes reach the world through the gateway only';
  if (settings === null) return { subject, status: 'ok', detected: 'off (BERTH_ALLOW_FULL_NETWORK)', choice: without, advice: null };
  if (connection === 'none') return { subject, status: 'missing', detected: 'gVisor has a network stack of its own', choice: without, advice: 'BERTH_RUNTIME=runc, or unset BERTH_ALLOW_FULL_NETWORK' };
  const { problem, advice, ipv6 } = await checkHost(settings, connection);
  if (problem !== null) return { subject, status: 'missing', detected: problem, choice: without, advice };
  return {
    subject,
    status: ipv6 ? 'ok' : 'degraded',
    detected: `nftables, IPv4${ipv6 ? ' and IPv6' : ' alone: the machine does not forward IPv6'}`,
    choice: `sessions whose policy says \`full\` get a ${connection === 'pair' ? 'pair of interfaces' : 'network card'} behind a firewall of their own`,
    advice,
  };
}

async function isOn(host: HostNamespace, path: string): Promise<boolean> {
  const { stdout } = await host.run(['cat', path]);
  return stdout.trim() !== '' && stdout.trim() !== '0';
}
