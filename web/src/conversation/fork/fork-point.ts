import type { Item } from '../items.ts';

/** What there is of the moment at which a turn ended. */
export type ForkPoint = { kind: 'present' } | { kind: 'snapshot'; snapshotId: string } | { kind: 'none' };

/** `there`: ids of the snapshots that were not removed. */
export function forkPointOf(items: readonly Item[], endKey: string, there: ReadonlySet<string>): ForkPoint {
  const from = items.findIndex((item) => item.key === endKey);
  if (from === -1) return { kind: 'none' };
  for (const item of items.slice(from + 1)) {
    if (item.kind === 'prompt') return { kind: 'none' };
    if (item.kind === 'snapshot' && there.has(item.snapshotId)) return { kind: 'snapshot', snapshotId: item.snapshotId };
  }
  return { kind: 'present' };
}
