import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Boxes, EllipsisVertical } from 'lucide-react';
import type { Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { sessionsQuery, usageQuery } from '../queries.ts';
import { StatusBadge } from '../sessions/status.tsx';
import { IconButton } from '../ui/button.tsx';
import { Menu, MenuItem } from '../ui/menu.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { bytes } from '../ui/time.ts';
import { toastFailure } from '../ui/toasts.tsx';
import { SessionLink } from '../sessions/session-link.tsx';
import { Sparkline } from '../usage/sparkline.tsx';
import { useHistory } from '../usage/use-history.ts';
import { Table } from './table.tsx';

export function SandboxesPage() {
  const sessions = useQuery(sessionsQuery);
  const withSandbox = sessions.data?.filter((session) => session.sandboxId !== null) ?? [];
  return (
    <Page title="Sandboxes" about="What each one uses, now and over the last minutes.">
      {sessions.isPending && <Loading />}
      {sessions.isError && sessions.data === undefined && (
        <Failure error={sessions.error} onRetry={() => void sessions.refetch()} />
      )}
      {sessions.data !== undefined && withSandbox.length === 0 && (
        <Empty icon={<Boxes />} title="There are none">
          A session's sandbox is made when it is first needed.
        </Empty>
      )}
      {withSandbox.length > 0 && (
        <Table label="Sandboxes" head={['Session', 'State', 'Memory', 'CPU', 'Disk', 'Processes', '']}>
          {withSandbox.map((session) => (
            <Row key={session.id} session={session} />
          ))}
        </Table>
      )}
    </Page>
  );
}

function Row({ session }: { session: Session }) {
  const queries = useQueryClient();
  const awake = ['idle', 'running', 'asking', 'queued'].includes(session.status);
  const usage = useQuery(usageQuery(session.id, awake));
  const history = useHistory(usage.data, usage.dataUpdatedAt);
  const rest = (step: 'pause' | 'hibernate' | 'stop') => () =>
    void client.sessions
      .rest(session.id, step)
      .then(() => queries.invalidateQueries({ queryKey: sessionsQuery.queryKey }), toastFailure(`Could not ${step}`));
  const last = history.at(-1);
  return (
    <tr>
      <td className="max-w-60 truncate">
        <SessionLink sessionId={session.id} />
      </td>
      <td>
        <StatusBadge status={session.status} />
      </td>
      {last === undefined || !awake ? (
        <td colSpan={4} className="text-muted">
          {awake ? '…' : 'uses neither memory nor CPU now'}
        </td>
      ) : (
        <>
          <td className="whitespace-nowrap">
            <Sparkline
              label={`Memory, now ${bytes(last.memoryBytes)}`}
              values={history.map((point) => point.memoryBytes)}
              limit={session.limits.memoryBytes}
            />
            <span className="ml-2">{bytes(last.memoryBytes)}</span>
          </td>
          <td className="whitespace-nowrap">
            <Sparkline
              label={`CPU, now ${last.cpus.toFixed(2)} cores`}
              values={history.map((point) => point.cpus)}
              limit={session.limits.cpus || 1}
            />
            <span className="ml-2">{Math.round(100 * last.cpus)} %</span>
          </td>
          <td className="whitespace-nowrap">
            <Sparkline
              label={`Disk, now ${bytes(last.diskBytes)}`}
              values={history.map((point) => point.diskBytes)}
              limit={session.limits.diskBytes}
            />
            <span className="ml-2">{bytes(last.diskBytes)}</span>
          </td>
          <td>{last.pids}</td>
        </>
      )}
      <td className="text-right">
        <Menu
          trigger={
            <IconButton label="Put to rest">
              <EllipsisVertical />
            </IconButton>
          }
        >
          <MenuItem onSelect={rest('pause')}>Pause: memory is kept</MenuItem>
          <MenuItem onSelect={rest('hibernate')}>Hibernate: memory goes to disk</MenuItem>
          <MenuItem onSelect={rest('stop')}>Stop: processes end, the disk is kept</MenuItem>
        </Menu>
      </td>
    </tr>
  );
}
