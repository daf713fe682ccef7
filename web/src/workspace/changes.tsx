import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { ChevronRight, Columns2, FileDiff, RefreshCw, Rows2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { FileData } from 'react-diff-view';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session, SessionDiff } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { IconButton } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { filesOf, pathOf } from './diff-files.ts';
import { FileChanges } from './file-changes.tsx';

/** Beyond these, files begin folded: drawing them all at once would be felt. */
const openFiles = 15;
const openLines = 600;
const viewKey = 'berth.diff';

/** Everything since the base: what the agent committed, and what it did not. */
export default function Changes({ session, version }: { session: Session; version: number }) {
  const [view, setView] = useState<'split' | 'unified'>(() =>
    localStorage.getItem(viewKey) === 'split' ? 'split' : 'unified',
  );
  const diff = useQuery({
    queryKey: ['diff', session.id, version],
    queryFn: ({ signal }) => client.sessions.diff(session.id, { signal }),
    placeholderData: keepPreviousData,
  });
  const files = useMemo(() => (diff.data === undefined ? [] : filesOf(diff.data.patch)), [diff.data]);

  if (diff.isPending) return <Loading label="Comparing" />;
  if (diff.isError && diff.data === undefined)
    return <Failure error={diff.error} onRetry={() => void diff.refetch()} className="m-3" />;
  const { data } = diff;
  if (data === undefined) return null;
  if (data.files.length === 0) {
    return (
      <Empty icon={<FileDiff />} title="Nothing has changed">
        {session.repository === null
          ? 'Without a repository there is nothing to compare with.'
          : 'What the agent changes is shown here.'}
      </Empty>
    );
  }
  const additions = sum(data.files.map((file) => file.additions));
  const deletions = sum(data.files.map((file) => file.deletions));
  const next = view === 'split' ? 'unified' : 'split';
  return (
    <div className="flex h-full flex-col">
      <div className="flex items-center gap-2 px-3 py-1.5 text-sm">
        <p className="min-w-0 flex-1">
          {data.files.length} {data.files.length === 1 ? 'file' : 'files'}{' '}
          <span className="text-good">+{additions}</span> <span className="text-bad">−{deletions}</span>
        </p>
        <IconButton
          label={next === 'split' ? 'Side by side' : 'In one column'}
          onClick={() => {
            setView(next);
            localStorage.setItem(viewKey, next);
          }}
        >
          {next === 'split' ? <Columns2 /> : <Rows2 />}
        </IconButton>
        <IconButton label="Compare again" onClick={() => void diff.refetch()}>
          <RefreshCw className={classNames(diff.isFetching && 'animate-spin')} />
        </IconButton>
      </div>
      <div className="min-h-0 flex-1 space-y-2 overflow-y-auto px-3 pb-4">
        {data.files.map((file, index) => (
          <File
            key={file.path}
            sessionId={session.id}
            file={file}
            data={files.find((each) => pathOf(each) === file.path) ?? null}
            view={view}
            initiallyOpen={index < openFiles && (file.additions ?? 0) + (file.deletions ?? 0) < openLines}
          />
        ))}
        {data.truncated && <p className="py-2 text-center text-sm text-muted">The rest is too large to show.</p>}
      </div>
    </div>
  );
}

const signs = {
  added: ['A', 'added', 'text-good'],
  modified: ['M', 'modified', 'text-accent'],
  removed: ['D', 'removed', 'text-bad'],
  renamed: ['R', 'renamed', 'text-queued'],
} as const;

function File({
  sessionId,
  file,
  data,
  view,
  initiallyOpen,
}: {
  sessionId: string;
  file: SessionDiff['files'][number];
  data: FileData | null;
  view: 'split' | 'unified';
  initiallyOpen: boolean;
}) {
  const [open, setOpen] = useState(initiallyOpen);
  const [sign, name, tone] = signs[file.status];
  return (
    <section className="overflow-hidden rounded-lg border border-line bg-surface">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex w-full items-center gap-2 px-2.5 py-1.5 text-left text-[0.85rem] hover:bg-hover"
      >
        <ChevronRight
          aria-hidden
          className={classNames('size-3.5 shrink-0 text-muted transition-transform', open && 'rotate-90')}
        />
        <span className={classNames('shrink-0 font-mono font-semibold', tone)} title={name}>
          {sign}
          <span className="sr-only"> {name}</span>
        </span>
        <span className="min-w-0 flex-1 truncate font-mono">
          {file.from !== null && `${sanitizeLine(file.from)} → `}
          {sanitizeLine(file.path)}
        </span>
        <span className="shrink-0 font-mono text-xs">
          {file.additions === null ? (
            <span className="text-muted">binary</span>
          ) : (
            <>
              <span className="text-good">+{file.additions}</span> <span className="text-bad">−{file.deletions}</span>
            </>
          )}
        </span>
      </button>
      {open &&
        (data === null || data.hunks.length === 0 ? (
          <p className="border-t border-line px-3 py-2 text-sm text-muted">
            {file.additions === null ? 'A binary file.' : 'No lines to show.'}
          </p>
        ) : (
          <FileChanges sessionId={sessionId} path={file.path} data={data} view={view} />
        ))}
    </section>
  );
}

function sum(values: readonly (number | null)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}
