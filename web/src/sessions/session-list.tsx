import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { QueueOverview, Session, SessionStatus } from '../../../src/sdk/index.ts';
import { queueQuery, sessionsQuery } from '../queries.ts';
import { classNames } from '../ui/class-names.ts';
import { Failure, Loading } from '../ui/states.tsx';
import { age, duration } from '../ui/time.ts';
import { useNow } from '../ui/use-now.ts';
import { StatusDot, statusLabel } from './status.tsx';
import { repositoryName, titleOf } from './title.ts';

type Filter = 'all' | 'active' | 'resting' | 'failed' | 'archived';

const filters: Record<Filter, { label: string; statuses: readonly SessionStatus[] | null }> = {
  all: { label: 'All', statuses: null },
  active: { label: 'Active', statuses: ['creating', 'queued', 'running', 'asking'] },
  resting: { label: 'Resting', statuses: ['idle', 'paused', 'hibernated', 'stopped'] },
  failed: { label: 'Failed', statuses: ['failed'] },
  archived: { label: 'Archived', statuses: null },
};

/** Every session, live; who waits for an answer comes first. */
export function SessionList() {
  const sessions = useQuery(sessionsQuery);
  const queue = useQuery(queueQuery);
  const [search, setSearch] = useState('');
  const [filter, setFilter] = useState<Filter>('all');
  const now = useNow();

  const shown = useMemo(() => select(sessions.data ?? [], search, filter), [sessions.data, search, filter]);
  const active = sessions.data?.filter((each) => filters.active.statuses?.includes(each.status)).length ?? 0;

  return (
    <section aria-label="Sessions" className="flex min-h-0 flex-1 flex-col">
      <div className="px-3 pb-2">
        <div className="relative">
          <Search aria-hidden className="pointer-events-none absolute top-2.5 left-2.5 size-4 text-muted" />
          <input
            type="search"
            aria-label="Search sessions"
            placeholder="Search"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            className="h-9 w-full rounded-lg border border-line bg-surface pr-2 pl-8.5 text-sm placeholder:text-muted"
          />
        </div>
        <div role="group" aria-label="Filter by state" className="mt-2 flex flex-wrap gap-0.5">
          {Object.entries(filters).map(([name, { label }]) => (
            <button
              key={name}
              type="button"
              aria-pressed={filter === name}
              onClick={() => setFilter(name as Filter)}
              className={classNames(
                'rounded-md px-1.5 py-0.5 text-xs font-medium whitespace-nowrap',
                filter === name ? 'bg-text text-page' : 'text-muted hover:bg-hover',
              )}
            >
              {label}
              {name === 'active' && active > 0 && ` ${active}`}
            </button>
          ))}
        </div>
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-2">
        {sessions.isPending && <Loading label="Loading sessions" />}
        {sessions.isError && sessions.data === undefined && (
          <Failure error={sessions.error} onRetry={() => void sessions.refetch()} className="m-1" />
        )}
        {sessions.data !== undefined && shown.length === 0 && (
          <p className="px-3 py-8 text-center text-sm text-muted">
            {sessions.data.length === 0 ? 'No sessions yet.' : 'No session matches.'}
          </p>
        )}
        <ul className="space-y-0.5">
          {shown.map((session) => (
            <li key={session.id}>
              <Row session={session} queue={queue.data} now={now} />
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}

function Row({ session, queue, now }: { session: Session; queue: QueueOverview | undefined; now: number }) {
  const place = session.status === 'queued' ? placeOf(session.id, queue) : undefined;
  const repository = repositoryName(session.repository);
  return (
    <Link
      to="/sessions/$sessionId"
      params={{ sessionId: session.id }}
      className="block rounded-lg px-2.5 py-2 hover:bg-hover"
      activeProps={{ className: 'bg-accent-soft hover:bg-accent-soft' }}
    >
      <span className="flex items-center gap-2">
        <StatusDot status={session.status} />
        <span className="min-w-0 flex-1 truncate text-[0.92rem] font-medium">{titleOf(session)}</span>
        <span className="text-xs text-muted">{age(session.updatedAt, now)}</span>
      </span>
      <span className="mt-0.5 flex gap-1.5 pl-4 text-xs text-muted">
        <span
          className={classNames(
            'shrink-0',
            session.status === 'asking' && 'font-semibold text-warn',
            session.status === 'failed' && 'text-bad',
          )}
        >
          {statusLabel(session.status)}
          {place !== undefined && ` · ${place}`}
        </span>
        <span className="truncate">
          {session.agent}
          {repository !== '' && ` · ${repository}`}
        </span>
      </span>
    </Link>
  );
}

/** `place 2, about 3 min`. */
export function placeOf(sessionId: string, queue: QueueOverview | undefined): string | undefined {
  const entry = queue?.queued.find((each) => each.sessionId === sessionId);
  if (entry === undefined || entry.position === 0) return undefined;
  const wait = entry.estimatedWaitSeconds > 0 ? `, ${duration(entry.estimatedWaitSeconds * 1000)}` : '';
  return `place ${entry.position}${wait}`;
}

function select(sessions: readonly Session[], search: string, filter: Filter): Session[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const { statuses } = filters[filter];
  const matching = sessions.filter((session) => {
    if ((session.archivedAt !== null) !== (filter === 'archived')) return false;
    if (statuses !== null && !statuses.includes(session.status)) return false;
    const text = [titleOf(session), session.repository, session.branch, session.agent, session.id, session.status]
      .join(' ')
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const rank = (session: Session): number => (session.status === 'asking' ? 0 : 1);
  return matching.toSorted((a, b) => rank(a) - rank(b) || b.updatedAt.localeCompare(a.updatedAt));
}
