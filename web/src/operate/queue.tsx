import { useQuery, useQueryClient } from '@tanstack/react-query';
import { ListOrdered } from 'lucide-react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { PoolOverview, QueueOverview } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { poolQuery, queueQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { confirmed } from '../ui/confirm.tsx';
import { Meter } from '../ui/meter.tsx';
import { Card, Page } from '../ui/page.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { clockTime, duration } from '../ui/time.ts';
import { toastFailure } from '../ui/toasts.tsx';
import { SessionLink } from '../sessions/session-link.tsx';
import { Table } from './table.tsx';

export function QueuePage() {
  const queries = useQueryClient();
  const queue = useQuery(queueQuery);
  const pool = useQuery(poolQuery);

  async function cancel({ sessionId, turnId }: { sessionId: string; turnId: string }): Promise<void> {
    const lost = 'It is taken out of the queue; whoever sent it is told, and can send it again.';
    if (!(await confirmed({ title: 'Cancel this turn?', lost, action: 'Cancel the turn' }))) return;
    await client.sessions.cancelTurn(sessionId, turnId);
    await queries.invalidateQueries({ queryKey: queueQuery.queryKey });
  }

  return (
    <Page
      title="Queue"
      about="Turns that hold a slot, and those that wait for one, in the order in which they will start."
    >
      {queue.isPending && <Loading />}
      {queue.isError && queue.data === undefined && (
        <Failure error={queue.error} onRetry={() => void queue.refetch()} />
      )}
      {queue.data !== undefined && (
        <div className="space-y-5">
          <Card className="grid gap-5 p-4 sm:grid-cols-3">
            <Meter label="Slots in use" used={queue.data.running} limit={queue.data.slots} format={String} />
            <Figure label="Waiting" value={String(queue.data.queued.length)} />
            <Figure
              label="Estimates are off by"
              value={
                queue.data.estimate.meanAbsoluteErrorSeconds === null
                  ? 'no turn has waited yet'
                  : duration(queue.data.estimate.meanAbsoluteErrorSeconds * 1000)
              }
            />
          </Card>
          {pool.data !== undefined && <PoolCard pool={pool.data} />}
          {queue.data.queued.length === 0 ? (
            <Empty icon={<ListOrdered />} title="Nothing waits">
              A turn that finds no free slot waits here, and whoever sent it sees its place.
            </Empty>
          ) : (
            <Table label="Waiting turns" head={['Place', 'Session', 'By', 'Priority', 'Waited', 'Will wait', '']}>
              {queue.data.queued.map((entry) => (
                <tr key={entry.turnId}>
                  <td>{entry.position === 0 ? 'starting' : entry.position}</td>
                  <td>
                    <SessionLink sessionId={entry.sessionId} />
                  </td>
                  <td>{sanitizeLine(entry.owner)}</td>
                  <td>{entry.priority}</td>
                  <td className="whitespace-nowrap">{duration(entry.waitedSeconds * 1000)}</td>
                  <td className="min-w-40">{waitOf(entry)}</td>
                  <td className="text-right">
                    <Button size="small" tone="danger" onClick={() => void cancel(entry).catch(toastFailure('Not cancelled'))}>
                      Cancel
                    </Button>
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </div>
      )}
    </Page>
  );
}

/** How long still, or what it waits for that time alone does not bring. */
function waitOf({ retryAt, away, quota, estimatedWaitSeconds }: QueueOverview['queued'][number]): string {
  if (retryAt !== null) return `tried again ${clockTime(retryAt)}`;
  if (away !== null) return `for the host ${sanitizeLine(away)}, which is away`;
  const wait = `about ${duration(estimatedWaitSeconds * 1000)}`;
  if (quota === null) return wait;
  const { kind, name, slots } = quota;
  return `${wait}; the quota of the ${kind} ${sanitizeLine(name)} allows ${slots} at once`;
}

/** What stands ready, and how often that was enough. */
function PoolCard({ pool }: { pool: PoolOverview }) {
  const { warm, claims } = pool;
  const first = claims.warm + claims.cold;
  return (
    <Card className="grid gap-5 p-4 sm:grid-cols-3" title={`Pool: ${pool.provider}`}>
      <Figure
        label="Warm sandboxes"
        value={`${warm.ready} of ${warm.wanted}${warm.making > 0 ? `, ${warm.making} being made` : ''}${warm.held === null ? '' : ` (${sanitizeLine(warm.held)})`}`}
      />
      <Figure
        label="First sandboxes taken warm"
        value={first === 0 ? 'none needed yet' : `${claims.warm} of ${first}`}
      />
      <Figure label="Put to rest for their slot" value={String(pool.evictions)} />
    </Card>
  );
}

export function Figure({ label, value }: { label: string; value: string }) {
  return (
    <div>
      <p className="text-[0.88rem] text-muted">{label}</p>
      <p className="mt-0.5 font-semibold">{value}</p>
    </div>
  );
}
