import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { z } from 'zod';
import type { ConnectionCounts } from '../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../protocol/errors.ts';
import { writeAtomic } from '../write-atomic.ts';
import { checkHost, type Connection, type FullNetworkSettings } from './host-check.ts';
import { openHostNamespace, type HostNamespace } from './host-namespace.ts';
import { cardScript, linkScript } from './link-script.ts';
import { drawSlot, gateways, guestAddresses, isSlot, linkNames, linkPrefix, tableName, type GuestAddresses, type LinkNames } from './names.ts';
import { sandboxRules, tableRules, withoutSandbox, withoutTable } from './rules.ts';

/**
 * The way out of sandboxes that have a network of their own: for each a pair of interfaces and a chain of rules. All of it belongs to
 * one installation, is found again by its names, and goes with its sandbox; the table goes with the last.
 */
export interface FullNetwork {
  /** A slot that nobody on this host has; `taken` are those of sandboxes that sleep. */
  draw(taken: ReadonlySet<number>): Promise<number>;
  /** Connects the sandbox whose first process is `pid`. The rules are there before the interface is. */
  attach(sandboxId: string, slot: number, pid: number): Promise<void>;
  /**
   * As `attach`, for processes that somebody else restores: what is left to be done is the script, a shell's, with the pid as
   * its first argument. Undone by `detach`.
   */
  prepare(sandboxId: string, slot: number): Promise<string>;
  /** As `attach`, for a machine that runs as that user of the host. What it is to open is there then. */
  attachCard(sandboxId: string, slot: number, uid: number): Promise<void>;
  card(sandboxId: string, slot: number): Card;
  /** No-op when it is not connected. Its connections end unless it is connected again with the same slot. */
  detach(sandboxId: string): Promise<void>;
  isAttached(sandboxId: string): boolean;
  /** `null` when it is not connected. Counted since it was. */
  counts(sandboxId: string): Promise<ConnectionCounts | null>;
}

/** A machine's network card. */
export interface Card {
  /** The TAP device that the machine opens. */
  device: string;
  /** The network namespace, a path, that the device is in; `null`: Berth's own. */
  namespace: string | null;
  /** What the guest's end is to have: address and next hop, of IPv4 and, where the host has it, IPv6. */
  addresses: readonly string[];
}

export interface FullNetworkOptions {
  installation: string;
  /** Where it is noted that there may be something of it on the host, and in which namespace. */
  stateFile: string;
  /** `null`: off. What an earlier process left is removed. */
  settings: FullNetworkSettings | null;
  connection: Connection;
  /** Of all sandboxes that exist. */
  sandboxIds: readonly string[];
}

const stateSchema = z.object({ namespace: z.string().nullable() });

/** Resolves to `null` when it is off or this machine cannot. What belongs to no sandbox is removed. */
export async function openFullNetwork({ installation, stateFile, settings, connection, sandboxIds }: FullNetworkOptions): Promise<FullNetwork | null> {
  const before = await readState(stateFile);
  const found = settings === null ? null : await checkHost(settings, connection);
  const able = found !== null && found.problem === null;
  const namespace = settings?.namespace ?? null;
  if (before !== null && (!able || before.namespace !== namespace)) {
    await removeAll(openHostNamespace(before.namespace), before.namespace, installation);
    await rm(stateFile, { force: true });
  }
  if (!able) return null;
  await writeAtomic(stateFile, `${JSON.stringify({ namespace })}\n`, 0o600);
  const host = openHostNamespace(namespace);
  return createFullNetwork(host, namespace, installation, found.ipv6, await adopt(host, installation, sandboxIds));
}

type Script = (names: LinkNames, addresses: GuestAddresses, hasIpv6: boolean) => string;

function createFullNetwork(host: HostNamespace, namespace: string | null, installation: string, ipv6: boolean, attached: Set<string>): FullNetwork {
  let tail: Promise<unknown> = Promise.resolve();
  /** One change at a time: the last to go takes the table along. */
  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = tail.then(change);
    tail = result.catch(() => {});
    return result;
  }

  async function allow(sandboxId: string, slot: number, script: Script): Promise<string> {
    if (!isSlot(slot)) throw new BerthError('internal', `${slot} is no address of a sandbox`);
    const names = linkNames(installation, sandboxId);
    const addresses = guestAddresses(installation, slot);
    attached.add(sandboxId);
    await host.load(`${tableRules(installation)}${sandboxRules(installation, names, addresses)}`);
    return script(names, addresses, ipv6);
  }

  function connect(sandboxId: string, slot: number, kind: Script, argument: number): Promise<void> {
    return inTurn(async () => {
      const script = await allow(sandboxId, slot, kind);
      try {
        await host.must(['sh', '-c', script, 'sh', String(argument)]);
      } catch (error) {
        await remove(sandboxId);
        throw error;
      }
    });
  }

  async function remove(sandboxId: string): Promise<void> {
    if (!attached.has(sandboxId)) return;
    const names = linkNames(installation, sandboxId);
    await deleteLink(host, names.link);
    if (attached.size > 1) await host.load(`${tableRules(installation)}${withoutSandbox(installation, names)}`);
    else await host.load(withoutTable(installation));
    attached.delete(sandboxId);
  }

  return {
    async draw(taken) {
      const used = await host.must(['ip', '-4', 'route', 'show', 'table', 'all']);
      const addresses = new Set(used.match(/\b198\.1[89]\.\d+\.\d+\b/g));
      for (;;) {
        const slot = drawSlot();
        if (!taken.has(slot) && !addresses.has(guestAddresses(installation, slot).ipv4)) return slot;
      }
    },
    attach: (sandboxId, slot, pid) => connect(sandboxId, slot, linkScript, pid),
    attachCard: (sandboxId, slot, uid) => connect(sandboxId, slot, cardScript, uid),
    card(sandboxId, slot) {
      const { ipv4, ipv6: own } = guestAddresses(installation, slot);
      return { device: linkNames(installation, sandboxId).link, namespace, addresses: [ipv4, gateways.ipv4, ...(ipv6 ? [own, gateways.ipv6] : [])] };
    },
    prepare: (sandboxId, slot) =>
      inTurn(async () => {
        const script = await allow(sandboxId, slot, linkScript);
        if (host.prefix.length === 0) return script;
        return `exec ${host.prefix.join(' ')} sh -s "$1" <<'SCRIPT'\n${script}SCRIPT\n`;
      }),
    detach: (sandboxId) => inTurn(() => remove(sandboxId)),
    isAttached: (sandboxId) => attached.has(sandboxId),
    async counts(sandboxId) {
      if (!attached.has(sandboxId)) return null;
      const { chain } = linkNames(installation, sandboxId);
      const listed = await host.must(['nft', 'list', 'chain', 'inet', tableName(installation), chain]);
      const count = (comment: string) => Number(new RegExp(`counter packets (\\d+) .*comment "${comment}"`).exec(listed)?.[1] ?? 0);
      return { asked: count('asked'), refused: count('refused') };
    },
  };
}

/** Takes over what whole connections an earlier process made and removes the rest. Resolves to the sandboxes that have one. */
async function adopt(host: HostNamespace, installation: string, sandboxIds: readonly string[]): Promise<Set<string>> {
  const links = new Set(await linksOf(host, installation));
  const chains = await chainsOf(host, installation);
  const attached = new Set<string>();
  for (const id of sandboxIds) {
    const { link, chain } = linkNames(installation, id);
    if (!links.has(link) || !chains.has(chain)) continue;
    links.delete(link);
    chains.delete(chain);
    attached.add(id);
  }
  for (const link of links) await deleteLink(host, link);
  if (attached.size === 0) await host.load(withoutTable(installation));
  else await host.load(`${tableRules(installation)}${[...chains].map((chain) => withoutSandbox(installation, { chain, link: chain.replace(/^of_/, linkPrefix(installation)) })).join('')}`);
  return attached;
}

/** Of sandboxes; none where there is no table. */
async function chainsOf(host: HostNamespace, installation: string): Promise<Set<string>> {
  const { exitCode, stdout } = await host.run(['nft', 'list', 'table', 'inet', tableName(installation)]);
  return new Set(exitCode === 0 ? [...stdout.matchAll(/chain (of_\w+) \{/g)].map(([, chain]) => chain!) : []);
}

async function linksOf(host: HostNamespace, installation: string): Promise<string[]> {
  const listed = await host.must(['ip', '-oneline', 'link', 'show']);
  const names = [...listed.matchAll(/^\d+: ([^@:\s]+)[@:]/gm)].map(([, name]) => name!);
  return names.filter((name) => name.startsWith(linkPrefix(installation)));
}

/** A link whose other end went with its namespace is gone by itself, perhaps at this moment. */
async function deleteLink(host: HostNamespace, link: string): Promise<void> {
  const { exitCode, stderr } = await host.run(['ip', 'link', 'delete', 'dev', link]);
  if (exitCode === 0 || (await host.run(['ip', 'link', 'show', 'dev', link])).exitCode !== 0) return;
  throw new BerthError('upstream_failed', `the interface ${link} could not be removed: ${stderr.trim()}`);
}

async function removeAll(host: HostNamespace, namespace: string | null, installation: string): Promise<void> {
  // Its namespace went, and with it everything in it.
  if (namespace !== null && !existsSync(namespace)) return;
  for (const link of await linksOf(host, installation)) await deleteLink(host, link);
  await host.load(withoutTable(installation));
}

/** `null`: nothing was ever made. */
async function readState(path: string): Promise<z.infer<typeof stateSchema> | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return text === null ? null : stateSchema.parse(JSON.parse(text));
}
