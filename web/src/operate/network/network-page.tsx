import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Globe } from 'lucide-react';
import { useState } from 'react';
import type { EgressEntry, EgressQuery } from '../../../../src/protocol/egress.ts';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import { client } from '../../api.ts';
import { allEgressQuery, meQuery, sessionsQuery } from '../../queries.ts';
import { SessionLink } from '../../sessions/session-link.tsx';
import { titleOf } from '../../sessions/title.ts';
import { Button } from '../../ui/button.tsx';
import { Field, Input, Select } from '../../ui/field.tsx';
import { Page } from '../../ui/page.tsx';
import { Empty, Failure, Loading } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toast, toastFailure } from '../../ui/toasts.tsx';
import { ruleFor } from '../../workspace/egress-rule.ts';
import { Table } from '../table.tsx';

/** Where all sessions connected to, and what was refused to them. */
export function NetworkPage() {
  const [filter, setFilter] = useState<EgressQuery>({});
  const decisions = useQuery(allEgressQuery(filter));
  return (
    <Page title="Network" about="Where the sessions that you may see connected to, and what was refused to them.">
      <div className="space-y-4">
        <Filters onChange={setFilter} />
        {decisions.isPending && <Loading />}
        {decisions.isError && <Failure error={decisions.error} onRetry={() => void decisions.refetch()} />}
        {decisions.data?.length === 0 && (
          <Empty icon={<Globe />} title="Nothing matches">
            A decision is kept for each host and answer of a session.
          </Empty>
        )}
        {decisions.data !== undefined && decisions.data.length > 0 && (
          <Table label="Connections" head={['Host', 'Answer', 'Session', 'Times', 'Last', '']}>
            {decisions.data.map((entry) => (
              <Row key={`${entry.sessionId} ${entry.host}:${entry.port} ${entry.allowed}`} entry={entry} />
            ))}
          </Table>
        )}
      </div>
    </Page>
  );
}

function Filters({ onChange }: { onChange: (filter: EgressQuery) => void }) {
  const sessions = useQuery(sessionsQuery);
  const [host, setHost] = useState('');
  const [verdict, setVerdict] = useState('');
  const [session, setSession] = useState('');
  function change(next: { host: string; verdict: string; session: string }): void {
    onChange({
      ...(next.host.trim() === '' ? {} : { host: next.host.trim() }),
      ...(next.session === '' ? {} : { session: next.session }),
      ...(next.verdict === '' ? {} : { verdict: next.verdict as 'allowed' | 'refused' }),
    });
  }
  return (
    <form
      aria-label="Filter"
      className="grid items-end gap-3 sm:grid-cols-[1fr_10rem_1fr_auto]"
      onSubmit={(event) => {
        event.preventDefault();
        change({ host, verdict, session });
      }}
    >
      <Field label="Host">
        {(control) => (
          <Input {...control} placeholder="any part of it" value={host} onChange={(event) => setHost(event.target.value)} />
        )}
      </Field>
      <Field label="Answer">
        {(control) => (
          <Select
            {...control}
            value={verdict}
            onChange={(event) => {
              setVerdict(event.target.value);
              change({ host, session, verdict: event.target.value });
            }}
          >
            <option value="">All</option>
            <option value="refused">Refused</option>
            <option value="allowed">Allowed</option>
          </Select>
        )}
      </Field>
      <Field label="Session">
        {(control) => (
          <Select
            {...control}
            value={session}
            onChange={(event) => {
              setSession(event.target.value);
              change({ host, verdict, session: event.target.value });
            }}
          >
            <option value="">All</option>
            {(sessions.data ?? []).map((each) => (
              <option key={each.id} value={each.id}>
                {titleOf(each)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Button type="submit">Filter</Button>
    </form>
  );
}

function Row({ entry }: { entry: EgressEntry }) {
  const queries = useQueryClient();
  const me = useQuery(meQuery);
  const sessions = useQuery(sessionsQuery);
  const session = sessions.data?.find((each) => each.id === entry.sessionId);
  const manages = me.data?.role === 'owner' || session?.owner === me.data?.user;
  const host = sanitizeLine(entry.host);
  async function allow(): Promise<void> {
    const rule = ruleFor(entry);
    await client.egress.allow(entry.sessionId, rule);
    await queries.invalidateQueries({ queryKey: ['egress-all'] });
    toast(`${rule} is allowed from its next connection on`);
  }
  return (
    <tr>
      <td className="min-w-48 font-mono text-[0.85rem] break-all">
        {host}
        <span className="text-muted">:{entry.port}</span>
      </td>
      <td>
        <span className={entry.allowed ? 'text-good' : 'text-bad'}>{entry.allowed ? 'allowed' : 'refused'}</span>
        <span className="block text-xs text-muted">{sanitizeLine(entry.reason)}</span>
      </td>
      <td className="max-w-52 truncate">
        <SessionLink sessionId={entry.sessionId} />
      </td>
      <td>{entry.count}</td>
      <td className="whitespace-nowrap text-muted">{clockTime(entry.lastAt)}</td>
      <td className="text-right whitespace-nowrap">
        {entry.allowedSince ? (
          <span className="text-xs text-good">allowed since</span>
        ) : (
          !entry.allowed &&
          manages && (
            <Button size="small" aria-label={`Allow ${host}`} onClick={() => void allow().catch(toastFailure('Not allowed'))}>
              Allow
            </Button>
          )
        )}
      </td>
    </tr>
  );
}
