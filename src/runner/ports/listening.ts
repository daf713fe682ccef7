import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { PortInfo } from '../../protocol/runner-api.ts';

/** TCP_LISTEN of include/net/tcp_states.h. */
const listenState = '0A';

/** Every listening TCP socket of the sandbox, with its process where that may be seen. */
export function listListening(): PortInfo[] {
  const sockets = [...readTable('/proc/net/tcp'), ...readTable('/proc/net/tcp6')];
  const owners = sockets.length === 0 ? new Map<string, number>() : socketOwners();
  return sockets
    .map(({ port, address, inode }) => ({ port, address, pid: owners.get(inode) ?? null }))
    .toSorted((a, b) => a.port - b.port || a.address.localeCompare(b.address));
}

function readTable(file: string): { port: number; address: string; inode: string }[] {
  try {
    return parseTable(readFileSync(file, 'utf8'));
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The listening rows of `/proc/net/tcp` or `tcp6`; proc_net_tcp.rst of the kernel gives the columns. */
export function parseTable(text: string): { port: number; address: string; inode: string }[] {
  const rows = [];
  for (const line of text.split('\n').slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    const [host, port] = local?.split(':') ?? [];
    if (state !== listenState || host === undefined || port === undefined || inode === undefined) continue;
    rows.push({ port: Number.parseInt(port, 16), address: readAddress(host), inode });
  }
  return rows;
}

/** The kernel prints each 32-bit word in host order, little-endian on every machine Berth runs on. */
function readAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  for (let i = 0; i < bytes.length; i += 4) bytes.subarray(i, i + 4).reverse();
  if (bytes.length === 4) return [...bytes].join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  const longest = groups
    .join(':')
    .match(/\b0(?::0)+\b/g)
    ?.toSorted((a, b) => b.length - a.length)[0];
  if (longest === undefined) return groups.join(':');
  const [before, after] = splitOnce(groups.join(':'), longest);
  return `${before.replace(/:$/, '')}::${after.replace(/^:/, '')}`;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + separator.length)];
}

function socketOwners(): Map<string, number> {
  const owners = new Map<string, number>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of listFds(pid)) {
      const inode = readLink(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1];
      if (inode !== undefined && !owners.has(inode)) owners.set(inode, Number(pid));
    }
  }
  return owners;
}

/** None when the process is another user's or has just ended. */
function listFds(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
