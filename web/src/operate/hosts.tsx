import { useQuery, useQueryClient } from '@tanstack/react-query';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Host } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { hostsQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { confirmed } from '../ui/confirm.tsx';
import { Failure } from '../ui/states.tsx';
import { toastFailure } from '../ui/toasts.tsx';
import { Table } from './table.tsx';

/** The machines with a server, and the slots of each. */
export function Hosts() {
  const hosts = useQuery(hostsQuery);
  if (hosts.isError) return <Failure error={hosts.error} onRetry={() => void hosts.refetch()} />;
  if (hosts.data === undefined) return null;
  return (
    <section aria-labelledby="hosts" className="space-y-2">
      <h2 id="hosts" className="font-semibold">
        Hosts
      </h2>
      <Table label="Hosts" head={['Host', 'State', 'Slots taken', 'Address', '']}>
        {hosts.data.map((host) => (
          <Row key={host.id} host={host} />
        ))}
      </Table>
    </section>
  );
}

function Row({ host }: { host: Host }) {
  const queries = useQueryClient();
  async function forget(): Promise<void> {
    const lost = 'Its sandboxes are given up: sessions there start again from their base commit, and what they did not push is gone. Only for a machine that will not return.';
    if (!(await confirmed({ title: `Give up the host ${sanitizeLine(host.id)}?`, lost, action: 'Give it up' }))) return;
    await client.hosts.forget(host.id);
    await queries.invalidateQueries({ queryKey: hostsQuery.queryKey });
  }
  return (
    <tr>
      <td className="font-mono text-[0.85rem]">
        {sanitizeLine(host.id)}
        {host.own && <span className="font-sans text-muted"> (this one)</span>}
      </td>
      <td>{host.live ? <span className="text-good">up</span> : <span className="text-bad">away</span>}</td>
      <td>
        {host.used} of {host.slots}
      </td>
      <td className="break-all text-muted">{sanitizeLine(host.address ?? '')}</td>
      <td className="text-right">
        {!host.live && (
          <Button size="small" tone="danger" onClick={() => void forget().catch(toastFailure('Not given up'))}>
            Give up
          </Button>
        )}
      </td>
    </tr>
  );
}
