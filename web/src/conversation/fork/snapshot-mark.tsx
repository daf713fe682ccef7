import { Camera, GitFork } from 'lucide-react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import { Button } from '../../ui/button.tsx';
import { clockTime } from '../../ui/time.ts';
import type { Item } from '../items.ts';
import { useForking } from './forking.ts';

/** Where a snapshot was taken, and the way back to it. */
export function SnapshotMark({ item }: { item: Item & { kind: 'snapshot' } }) {
  const { allowed, fork, snapshots } = useForking();
  const isThere = snapshots.has(item.snapshotId);
  return (
    <div className="flex items-center gap-2 text-[0.85rem] text-muted">
      <Camera aria-hidden className="size-3.5 shrink-0" />
      <span className="min-w-0 truncate">
        Snapshot <span className="font-medium text-text">{item.name}</span>, taken by {sanitizeLine(item.by)},{' '}
        {clockTime(item.at)}
        {!isThere && ' · removed, or not yours'}
      </span>
      <span className="h-px flex-1 bg-line" />
      {isThere && allowed && (
        <Button size="small" tone="quiet" aria-label={`Fork from here: ${item.name}`} onClick={() => fork(item.snapshotId)}>
          <GitFork aria-hidden className="size-3.5" />
          Fork from here
        </Button>
      )}
    </div>
  );
}
