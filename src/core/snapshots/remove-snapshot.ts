import { isId } from '../../protocol/ids.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SnapshotRecord, StoreTransaction } from '../ports/store.ts';

type Needs = Pick<Dependencies, 'store' | 'providers' | 'logger'>;
type RecoveryNeeds = Needs & Pick<Dependencies, 'settings'>;

/** The first half of a removal: from here on nobody finds the snapshot, and a restart goes on. */
export async function beginRemoval({ store }: Pick<Needs, 'store'>, id: string): Promise<void> {
  await store.transaction((tx) => markRemoved(tx, id));
}

/** As `beginRemoval`, in a transaction of the caller's. */
export async function markRemoved(tx: StoreTransaction, id: string): Promise<void> {
  if ((await tx.snapshot(id)) !== null) await tx.updateSnapshot(id, { state: 'deleting' });
}

type Removable = Pick<SnapshotRecord, 'id' | 'provider'>;

/** The second half; the record goes last, so that nothing is left that nobody knows. */
export async function finishRemoval(
  { store, providers }: Needs,
  { id, provider }: Removable,
  signal: AbortSignal,
): Promise<void> {
  await providers.of(provider).deleteSnapshot(id, { signal });
  await store.transaction((tx) => tx.deleteSnapshot(id));
}

/**
 * After a start, on this host: what was being made or deleted when the last process ended goes, and so does what the provider has
 * of this installation that no record knows. Names that are not ours are left alone.
 */
export async function recoverSnapshots(deps: RecoveryNeeds, signal: AbortSignal): Promise<void> {
  const { store, providers, logger } = deps;
  const { hostId } = deps.settings;
  for (const record of await store.read.snapshots({ hostId, states: ['creating', 'deleting'] })) {
    // Its provider may come back with another configuration.
    if (!providers.has(record.provider)) continue;
    logger.info({ snapshotId: record.id, state: record.state }, 'removing a snapshot that was not finished');
    await beginRemoval(deps, record.id);
    await finishRemoval(deps, record, signal);
  }
  const known = new Set((await store.read.snapshots({ hostId })).map(({ id }) => id));
  for (const name of providers.names) {
    const provider = providers.of(name);
    if (provider.capabilities.snapshot === 'none') continue;
    for (const { id } of await provider.listSnapshots({ signal })) {
      if (known.has(id) || !isId('snapshot', id)) continue;
      logger.warn({ snapshotId: id }, 'removing a snapshot that no record knows');
      await provider.deleteSnapshot(id, { signal });
    }
  }
}
