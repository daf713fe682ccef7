import { useQuery } from '@tanstack/react-query';
import { Gauge } from 'lucide-react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { usageQuery } from '../queries.ts';
import { Meter } from '../ui/meter.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { bytes, duration } from '../ui/time.ts';
import { Sparkline } from '../usage/sparkline.tsx';
import { useHistory } from '../usage/use-history.ts';
import { PortLink } from './port-link.tsx';

/** The runner's own, in every sandbox. */
const own: readonly number[] = [8079, 8080];

/** What the sandbox uses of its limits, and the ports that something listens on. */
export function SandboxPanel({ session, live }: { session: Session; live: boolean }) {
  const usage = useQuery(usageQuery(session.id, live));
  const ports = useQuery({
    queryKey: ['ports', session.id],
    queryFn: ({ signal }) => client.sessions.ports(session.id, { signal }),
    enabled: live,
    refetchInterval: 5_000,
  });
  const history = useHistory(usage.data, usage.dataUpdatedAt);
  const open = ports.data?.filter((port) => !own.includes(port.port));
  if (!live) {
    return (
      <Empty icon={<Gauge />} title="The sandbox rests">
        It uses neither memory nor CPU.
      </Empty>
    );
  }
  if (usage.isPending) return <Loading label="Measuring" />;
  if (usage.isError && usage.data === undefined)
    return <Failure error={usage.error} onRetry={() => void usage.refetch()} className="m-3" />;
  const { data } = usage;
  if (data === undefined) return null;
  return (
    <div className="h-full space-y-5 overflow-y-auto p-4">
      <div className="space-y-3.5">
        <div>
          <Meter label="Memory" used={data.memoryBytes} limit={data.limits.memoryBytes} format={bytes} />
          <Course label="Memory" values={history.map((point) => point.memoryBytes)} limit={data.limits.memoryBytes} />
        </div>
        <div>
          <Meter label="CPU" used={history.at(-1)?.cpus ?? 0} limit={data.limits.cpus} format={cores} />
          <Course label="CPU" values={history.map((point) => point.cpus)} limit={data.limits.cpus || 1} />
        </div>
        <div>
          <Meter label="Disk" used={data.diskBytes} limit={data.limits.diskBytes} format={bytes} />
          <Course label="Disk" values={history.map((point) => point.diskBytes)} limit={data.limits.diskBytes} />
        </div>
        <Meter label="Processes" used={data.pids} limit={data.limits.pids} format={String} />
      </div>
      <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1.5 text-[0.92rem] [&_dt]:text-muted">
        <dt>CPU time</dt>
        <dd>
          {duration(data.cpuTimeMs)}, of {data.limits.cpus || 'all'} {data.limits.cpus === 1 ? 'core' : 'cores'}
        </dd>
        <dt>Sandbox</dt>
        <dd className="font-mono text-[0.85rem] break-all">{data.sandboxId}</dd>
        <dt>Provider</dt>
        <dd>
          {session.provider}, template {session.template}
          {session.providerReason !== null && (
            <span className="block text-[0.85rem] text-muted">Chosen: {sanitizeLine(session.providerReason)}</span>
          )}
        </dd>
      </dl>
      <section>
        <h2 className="mb-1.5 text-sm font-semibold">Ports</h2>
        {open?.length === 0 && <p className="text-sm text-muted">Nothing listens.</p>}
        <ul className="space-y-1 text-[0.92rem]">
          {open?.map((port) => (
            <li key={`${port.address} ${port.port}`} className="font-mono">
              <PortLink sessionId={session.id} port={port.port} />{' '}
              <span className="text-muted">{port.address}</span>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}

function cores(value: number): string {
  return `${Number(value.toFixed(2))} ${value === 1 ? 'core' : 'cores'}`;
}

/** Since the page is open, at most the last five minutes. */
function Course({ label, values, limit }: { label: string; values: readonly number[]; limit: number }) {
  if (values.length < 2) return <div className="mt-1.5 h-10" />;
  return (
    <Sparkline label={`${label} over the last minutes`} values={values} limit={limit} className="mt-1.5 block h-10 w-full" />
  );
}
