import { BerthError } from '../../../protocol/errors.ts';
import { demandNetwork } from '../../full-network/network-record.ts';
import type { Installation } from './installation.ts';
import type { SandboxRecord } from './record.ts';
import type { SandboxParts } from './sandbox.ts';

/** Gives a sandbox that runs the network of its record. No-op with `none`. */
export async function connect(installation: Installation, parts: SandboxParts, { network, networkSlot }: SandboxRecord): Promise<void> {
  if (network === 'none' || networkSlot === undefined) return;
  const pid = await parts.cgroup.init();
  if (pid === null) throw new BerthError('sandbox_lost', `sandbox ${parts.id} ended before it had its network`);
  await demandNetwork(installation.network).attach(parts.id, networkSlot, pid);
}

/** The commands that do it for processes that are being restored, the pid of the first in `$1`. */
export async function connectionScript(installation: Installation, { id, network, networkSlot }: SandboxRecord): Promise<string> {
  const loopback = 'exec nsenter --target "$1" --net ip link set lo up';
  return network === 'none' || networkSlot === undefined ? loopback : demandNetwork(installation.network).prepare(id, networkSlot);
}
