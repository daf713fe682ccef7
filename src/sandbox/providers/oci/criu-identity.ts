import { readFile } from 'node:fs/promises';
import { guestUser } from '../../../core/ports/sandbox-provider.ts';
import { missingCapabilities } from '../../host/capabilities.ts';

/**
 * The command before CRIU's own when it dumps, and the configuration that goes with it. Reading the resource limits of another
 * user's process takes CAP_SYS_RESOURCE, which some virtual machines withhold even from root; reading those of
 * one's own user does not. There CRIU runs as the sandboxes' user with every capability that this process has.
 */
export async function dumpIdentity(): Promise<{ command: string; config: readonly string[] }> {
  if (!(await missingCapabilities()).includes('SYS_RESOURCE')) return { command: '', config: [] };
  const status = await readFile('/proc/self/status', 'utf8');
  const permitted = BigInt(`0x${/^CapPrm:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  const held = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (permitted & (1n << BigInt(bit))) !== 0n);
  const list = ['-all', ...held.map((bit) => `+cap_${bit}`)].join(',');
  return {
    command: `setpriv --reuid ${guestUser.uid} --regid ${guestUser.gid} --clear-groups --inh-caps ${list} --ambient-caps ${list}`,
    config: ['unprivileged'],
  };
}
