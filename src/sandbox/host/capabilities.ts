import { readFile } from 'node:fs/promises';

/** Bits of capability.h that the local provider needs or is better with. */
const bits = { SYS_ADMIN: 21, SYS_RESOURCE: 24, NET_ADMIN: 12, SETPCAP: 8, SYS_CHROOT: 18, MKNOD: 27 } as const;
export type CapabilityName = keyof typeof bits;

/** Which of the capabilities this process does not have. */
export async function missingCapabilities(): Promise<CapabilityName[]> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return (Object.keys(bits) as CapabilityName[]).filter((name) => (effective & (1n << BigInt(bits[name]))) === 0n);
}
