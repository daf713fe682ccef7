import { isDeepStrictEqual } from 'node:util';
import type { NetworkMode, SandboxStatus, SandboxUpdate } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { readRecord, writeRecord } from '../../providers/_shared/record-file.ts';
import type { Card } from '../../full-network/full-network.ts';
import { demandNetwork, drawNetwork, type NetworkRecord } from '../../full-network/network-record.ts';
import type { Installation } from './installation.ts';
import type { MachineKind, Sandbox } from './machines.ts';
import { sandboxPaths } from './paths.ts';
import { sandboxRecord } from './record.ts';
import { sandboxIds, type Context } from './sandbox.ts';

/** What a record has of a sandbox's network: with `full` an address that no other has. */
export async function networkOf(installation: Installation, mode: NetworkMode): Promise<NetworkRecord> {
  const ids = mode === 'none' ? [] : await sandboxIds(installation);
  const others = ids.map((id) => readRecord(sandboxPaths(installation.sandboxesDir, id).record, sandboxRecord));
  return drawNetwork(installation.network, mode, await Promise.all(others));
}

/** Puts what a sandbox's machine is to open in place, and the rules of it before. `null`: its record has no network. */
export async function connectCard(installation: Installation, { id, record }: Pick<Sandbox<MachineKind>, 'id' | 'record'>): Promise<Card | null> {
  const card = cardOf(installation, id, record);
  if (card !== null) await demandNetwork(installation.network).attachCard(id, record.networkSlot!, record.uid);
  return card;
}

export function cardOf(installation: Installation, id: string, { network, networkSlot }: NetworkRecord): Card | null {
  return network === 'none' || networkSlot === undefined ? null : demandNetwork(installation.network).card(id, networkSlot);
}

/**
 * A machine has its parts from its start: one that does not run can get a network, and any can lose it. The record comes last, so
 * that after a crash in between the change is made again.
 */
export async function updateSandbox<K extends MachineKind>(
  { installation, machines }: Context<K>,
  sandbox: Sandbox<K>,
  status: SandboxStatus,
  { labels, limits, network }: SandboxUpdate,
  signal: AbortSignal,
): Promise<K['record']> {
  const { id, record, paths } = sandbox;
  if (!isDeepStrictEqual(labels, record.labels) || !isDeepStrictEqual(limits, record.limits)) {
    throw new BerthError('unsupported', "a machine's labels and limits are those it was made with");
  }
  if (network === record.network) return record;
  if (network === 'full' && status !== 'stopped') {
    throw new BerthError('unsupported', `a machine gets its network when it is started, and sandbox ${id} is ${status}: stop it first`, { field: 'network' });
  }
  if (status === 'running' || status === 'paused') await machines.unplug(id, signal);
  await installation.network?.detach(id);
  const { networkSlot: _before, ...rest } = record;
  const updated = { ...rest, ...(await networkOf(installation, network)) };
  await writeRecord(paths.record, updated);
  return updated;
}

/**
 * Makes the host agree with the record of a machine that outlived its server. `false`: it must end, as it counts on a network that
 * is gone or keeps one that it should not have.
 */
export async function recoverNetwork<K extends MachineKind>({ installation, machines }: Context<K>, { id, record }: Sandbox<K>): Promise<boolean> {
  const { network } = installation;
  const attached = network?.isAttached(id) ?? false;
  if (record.network === 'full' && network !== null) return attached;
  // The operator has taken it back, or it was about to be taken.
  try {
    if (record.network === 'full' || attached) await machines.unplug(id, AbortSignal.timeout(unplugMs));
    await network?.detach(id);
    return true;
  } catch {
    return false;
  }
}

const unplugMs = 10_000;
