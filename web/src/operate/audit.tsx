import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Download, ScrollText, ShieldCheck, ShieldX } from 'lucide-react';
import { useState } from 'react';
import { auditActions } from '../../../src/protocol/audit.ts';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { AuditEntry, AuditVerdict } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { meQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { Field, Input, Select } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';
import { OwnersOnly } from './owners-only.tsx';
import { SessionLink } from '../sessions/session-link.tsx';
import { Table } from './table.tsx';

type Filter = Partial<Record<'session' | 'actor' | 'action', string>>;

const pageSize = 50;
const names = Object.keys(auditActions);
const kinds = [...new Set(names.map((name) => name.split('.')[0]!))].toSorted();

export function AuditPage() {
  const me = useQuery(meQuery);
  return (
    <Page title="Audit" about="Who did what, in a chain that shows when something in it was changed.">
      {me.data?.role === 'owner' ? <Log /> : <OwnersOnly />}
    </Page>
  );
}

function Log() {
  const [filter, setFilter] = useState<Filter>({});
  const pages = useInfiniteQuery({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam, signal }) =>
      client.audit.list({ ...filter, limit: pageSize, ...(pageParam === null ? {} : { before: pageParam }) }, { signal }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
  });
  const entries = pages.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <div className="space-y-4">
      <Filters onChange={setFilter} />
      <Verify filter={filter} />
      {pages.isPending && <Loading />}
      {pages.isError && <Failure error={pages.error} onRetry={() => void pages.refetch()} />}
      {pages.data !== undefined && entries.length === 0 && (
        <Empty icon={<ScrollText />} title="Nothing matches">
          The log has no entry of this kind.
        </Empty>
      )}
      {entries.length > 0 && (
        <Table label="Audit log" head={['When', 'Who', 'What', 'To what', 'Session', 'Detail']}>
          {entries.map((entry) => (
            <Row key={entry.seq} entry={entry} />
          ))}
        </Table>
      )}
      {pages.hasNextPage && (
        <div className="text-center">
          <Button disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
            {pages.isFetchingNextPage ? 'Reading…' : 'Older entries'}
          </Button>
        </div>
      )}
    </div>
  );
}

function Filters({ onChange }: { onChange: (filter: Filter) => void }) {
  const [action, setAction] = useState('');
  const [actor, setActor] = useState('');
  const [session, setSession] = useState('');
  return (
    <form
      aria-label="Filter"
      className="grid items-end gap-3 sm:grid-cols-[1fr_1fr_1fr_auto]"
      onSubmit={(event) => {
        event.preventDefault();
        const given = { action, actor: actor.trim(), session: session.trim() };
        onChange(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== '')));
      }}
    >
      <Field label="Action">
        {(control) => (
          <Select {...control} value={action} onChange={(event) => setAction(event.target.value)}>
            <option value="">All</option>
            {kinds.map((kind) => (
              <optgroup key={kind} label={kind}>
                <option value={`${kind}.*`}>{kind}: all</option>
                {names
                  .filter((name) => name.startsWith(`${kind}.`))
                  .map((name) => (
                    <option key={name}>{name}</option>
                  ))}
              </optgroup>
            ))}
          </Select>
        )}
      </Field>
      <Field label="Who">
        {(control) => (
          <Input {...control} placeholder="user:name" value={actor} onChange={(event) => setActor(event.target.value)} />
        )}
      </Field>
      <Field label="Session">
        {(control) => (
          <Input {...control} placeholder="ses_…" value={session} onChange={(event) => setSession(event.target.value)} />
        )}
      </Field>
      <Button type="submit">Filter</Button>
    </form>
  );
}

function Verify({ filter }: { filter: Filter }) {
  const [verdict, setVerdict] = useState<AuditVerdict | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  function verify(): void {
    setBusy(true);
    setFailure(null);
    setVerdict(null);
    client.audit
      .verify()
      .then(setVerdict, setFailure)
      .finally(() => setBusy(false));
  }
  return (
    <div className="space-y-3">
      <div className="flex flex-wrap gap-2">
        <Button size="small" disabled={busy} onClick={verify}>
          <ShieldCheck aria-hidden className="size-4" />
          {busy ? 'Verifying…' : 'Verify the chain'}
        </Button>
        <a
          href={`/api/audit/export?${new URLSearchParams(filter).toString()}`}
          download="berth-audit.jsonl"
          className="inline-flex h-7 items-center gap-1.5 rounded-lg border border-line-strong bg-surface px-2.5 text-[0.85rem] font-medium hover:bg-hover"
        >
          <Download aria-hidden className="size-4" />
          Export what matches
        </a>
      </div>
      {failure !== null && <Failure error={failure} />}
      {verdict !== null && <Verdict verdict={verdict} />}
    </div>
  );
}

function Verdict({ verdict: { intact, entries, head, broken } }: { verdict: AuditVerdict }) {
  const Icon = intact ? ShieldCheck : ShieldX;
  return (
    <div
      role="status"
      className={`flex items-start gap-2.5 rounded-lg px-3.5 py-2.5 text-sm ${intact ? 'bg-good-soft text-good' : 'bg-bad-soft text-bad'}`}
    >
      <Icon aria-hidden className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0">
        <p className="font-medium">
          {intact ? `Intact: all ${entries} entries are as they were written.` : `Broken: ${sanitizeLine(broken?.message ?? '')}`}
        </p>
        <p className="mt-0.5 break-all">
          Entry {head.seq} has the hash <code className="font-mono text-[0.9em]">{head.hash}</code>. Kept elsewhere, it
          shows later that the end was not cut off.
        </p>
      </div>
    </div>
  );
}

function Row({ entry }: { entry: AuditEntry }) {
  const detail = Object.entries(entry.detail).filter(([, value]) => value !== null && value !== undefined);
  return (
    <tr>
      <td className="whitespace-nowrap">{clockTime(entry.at)}</td>
      <td className="font-mono text-[0.85rem]">{sanitizeLine(entry.actor)}</td>
      <td className="whitespace-nowrap">{sanitizeLine(entry.action)}</td>
      <td className="max-w-56 truncate font-mono text-[0.85rem]">{sanitizeLine(entry.target ?? '')}</td>
      <td className="max-w-44 truncate">{entry.sessionId !== null && <SessionLink sessionId={entry.sessionId} />}</td>
      <td className="min-w-56 text-[0.82rem] break-words text-muted">
        {detail.map(([name, value]) => `${sanitizeLine(name)}: ${shown(value)}`).join(' · ')}
      </td>
    </tr>
  );
}

function shown(value: unknown): string {
  return sanitizeLine(typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 300);
}
