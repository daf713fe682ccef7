import { createHash, randomInt } from 'node:crypto';

/**
 * What one sandbox's way out is called and addressed on the host. Names are derived, so that whoever comes after a crash
 * finds everything without a record; the address is drawn once and kept in the sandbox's record, for its connections
 * outlive a hibernation.
 */
export interface LinkNames {
  /** The host's end of the pair of interfaces; at most 15 characters. */
  link: string;
  /** The sandbox's own chain of rules. */
  chain: string;
}

/** Every interface of an installation begins with it, and none of another's. */
export function linkPrefix(installation: string): string {
  return `bf${digest(installation).slice(0, 4)}-`;
}

export function linkNames(installation: string, sandboxId: string): LinkNames {
  const name = digest(sandboxId).slice(0, 8);
  return { link: `${linkPrefix(installation)}${name}`, chain: `of_${name}` };
}

export const tableName = (installation: string) => `berth_${installation}`;

/** What the sandbox calls its own end. */
export const guestLink = 'eth0';
/** Of a machine's card, the host's end and the guest's: each pair is a network of its own, so all have the same. */
export const hostAddress = '02:be:00:00:00:01';
export const cardAddress = '02:be:00:00:00:02';
/** The host's end in every sandbox: the next hop, which answers nothing. */
export const gateways = { ipv4: '198.18.0.1', ipv6: 'fe80::1' } as const;
export const linkLocalLength = 64;

/**
 * Addresses of sandboxes: of 198.18.0.0/15, which is for benchmarks and in nobody's network (RFC 2544), and of a unique local prefix
 * (RFC 4193). Neither leaves the host: they are translated.
 */
export interface GuestAddresses {
  ipv4: string;
  ipv6: string;
}

const firstSlot = 2;
const slots = 2 ** 17;
export const isSlot = (slot: number) => Number.isInteger(slot) && slot >= firstSlot && slot < slots - 1;
/** At random: a new sandbox rarely has the address of one that was removed, whose peers may still send. */
export const drawSlot = () => randomInt(firstSlot, slots - 1);

export function guestAddresses(installation: string, slot: number): GuestAddresses {
  const ipv4 = [198, 18 + (slot >> 16), (slot >> 8) & 255, slot & 255].join('.');
  const site = createHash('sha256').update(installation).digest('hex');
  const ipv6 = `fd${site.slice(0, 2)}:${site.slice(2, 6)}:${site.slice(6, 10)}::${(slot >> 16).toString(16)}:${(slot & 0xffff).toString(16)}`;
  return { ipv4, ipv6 };
}

/** Lower-case letters and digits. */
function digest(text: string): string {
  return BigInt(`0x${createHash('sha256').update(text).digest('hex')}`).toString(36);
}
