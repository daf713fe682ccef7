import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import type { Session } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { sessionsQuery, snapshotsQuery } from '../../queries.ts';
import { useMay } from '../../sessions/use-may.ts';
import { toast, toastFailure } from '../../ui/toasts.tsx';
import type { Item } from '../items.ts';
import { forkPointOf } from './fork-point.ts';
import { ForkingContext, type Forking } from './forking.ts';

const SnapshotsDialog = lazy(async () => ({ default: (await import('./snapshots-dialog.tsx')).SnapshotsDialog }));

/** Lets what is inside fork this session, from any moment of which something was kept. */
export function ProvideForking({ session, items, children }: {
  session: Session;
  items: readonly Item[];
  children: ReactNode;
}) {
  const navigate = useNavigate();
  const allowed = useMay(session.id)('session:copy');
  const queries = useQueryClient();
  const [dialog, setDialog] = useState<{ turnIsLost: boolean } | null>(null);
  const taken = items.filter((item) => item.kind === 'snapshot').length;
  const snapshots = useQuery(snapshotsQuery(session.id));
  // A mark in the conversation tells that there is one more.
  useEffect(() => {
    if (taken > 0) void queries.invalidateQueries({ queryKey: ['snapshots', session.id] });
  }, [queries, session.id, taken]);
  const now = useRef(items);
  useLayoutEffect(() => {
    now.current = items;
  });

  const forking = useMemo((): Forking => {
    const there = new Set(snapshots.data?.map((snapshot) => snapshot.id));
    async function fork(snapshot: string | null): Promise<void> {
      toast('Forking');
      const [made] = snapshot === null ? await client.sessions.fork(session.id) : await client.snapshots.fork(snapshot);
      setDialog(null);
      await queries.invalidateQueries({ queryKey: sessionsQuery.queryKey });
      if (made !== undefined) await navigate({ to: '/sessions/$sessionId', params: { sessionId: made.id } });
    }
    const begin = (snapshot: string | null): void => void fork(snapshot).catch(toastFailure('Could not fork'));
    return {
      allowed,
      fork: begin,
      forkFromTurn(itemKey) {
        const point = forkPointOf(now.current, itemKey, there);
        if (point.kind === 'none') setDialog({ turnIsLost: true });
        else begin(point.kind === 'present' ? null : point.snapshotId);
      },
      snapshots: there,
      openSnapshots: () => setDialog({ turnIsLost: false }),
    };
  }, [session.id, allowed, snapshots.data, navigate, queries]);

  return (
    <ForkingContext value={forking}>
      {children}
      {dialog !== null && (
        <Suspense>
          <SnapshotsDialog session={session} turnIsLost={dialog.turnIsLost} onClose={() => setDialog(null)} />
        </Suspense>
      )}
    </ForkingContext>
  );
}
