import { useQuery } from '@tanstack/react-query';
import { ArrowLeft, ChevronRight, File as FileIcon, Folder, FolderOpen, Link2, RefreshCw } from 'lucide-react';
import { useState } from 'react';
import { sanitize, sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { FileInfo, Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { Highlighted } from '../conversation/highlighted.tsx';
import { languageOf } from '../conversation/language.ts';
import { useSuggestions } from '../conversation/suggestions.ts';
import { IconButton } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { bytes } from '../ui/time.ts';

/** The files as the agent sees them, one directory at a time; a search by name over all of them. */
export function Files({ session, version }: { session: Session; version: number }) {
  const [file, setFile] = useState<string | null>(null);
  const [search, setSearch] = useState('');
  const [looked, setLooked] = useState(0);
  const found = useSuggestions(session.id, [], search.trim() === '' ? null : `@${search.trim()}`);
  const stamp = `${version} ${looked}`;

  if (file !== null) return <Viewer session={session} path={file} stamp={stamp} onBack={() => setFile(null)} />;
  return (
    <div className="flex h-full flex-col">
      <div className="flex items-center gap-2 px-3 py-1.5">
        <input
          type="text"
          aria-label="Find a file by name"
          placeholder="Find a file by name"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          className="h-8 min-w-0 flex-1 rounded-lg border border-line bg-surface px-2.5 text-sm placeholder:text-muted"
        />
        <IconButton label="Look again" onClick={() => setLooked(looked + 1)}>
          <RefreshCw />
        </IconButton>
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-3">
        {search.trim() === '' ? (
          <Directory sessionId={session.id} path={session.cwd} depth={0} stamp={stamp} onOpen={setFile} />
        ) : (
          <ul>
            {found.map((each) => (
              <li key={each.label}>
                <Row
                  depth={0}
                  icon={<FileIcon />}
                  name={each.label}
                  onClick={() => setFile(`${session.cwd}/${each.insert.slice(1).trimEnd()}`)}
                />
              </li>
            ))}
            {found.length === 0 && <p className="p-3 text-sm text-muted">No file matches.</p>}
          </ul>
        )}
      </div>
    </div>
  );
}

interface DirectoryProps {
  sessionId: string;
  path: string;
  depth: number;
  stamp: string;
  onOpen: (path: string) => void;
}

function Directory({ sessionId, path, depth, stamp, onOpen }: DirectoryProps) {
  const [open, setOpen] = useState<readonly string[]>([]);
  const listed = useQuery({
    queryKey: ['files', sessionId, path, stamp],
    queryFn: ({ signal }) => client.sessions.files.list(sessionId, path, { signal }),
    placeholderData: (before) => before,
  });
  if (listed.isPending) return <p className="py-1 pl-3 text-sm text-muted">…</p>;
  if (listed.isError) return <Failure error={listed.error} onRetry={() => void listed.refetch()} className="m-1" />;
  const files = listed.data.toSorted(
    (a, b) => Number(b.type === 'directory') - Number(a.type === 'directory') || a.name.localeCompare(b.name),
  );
  if (files.length === 0)
    return (
      <p className="py-1 text-sm text-muted" style={{ paddingLeft: depth * 14 + 12 }}>
        empty
      </p>
    );
  return (
    <ul>
      {files.map((file) => {
        const isOpen = open.includes(file.path);
        const isDirectory = file.type === 'directory';
        return (
          <li key={file.path}>
            <Row
              depth={depth}
              icon={
                isDirectory ? isOpen ? <FolderOpen /> : <Folder /> : file.type === 'symlink' ? <Link2 /> : <FileIcon />
              }
              name={sanitizeLine(file.name)}
              detail={isDirectory ? '' : sizeOf(file)}
              {...(isDirectory ? { expanded: isOpen } : {})}
              onClick={() => {
                if (!isDirectory) onOpen(file.path);
                else setOpen(isOpen ? open.filter((each) => each !== file.path) : [...open, file.path]);
              }}
            />
            {isOpen && (
              <Directory sessionId={sessionId} path={file.path} depth={depth + 1} stamp={stamp} onOpen={onOpen} />
            )}
          </li>
        );
      })}
    </ul>
  );
}

function Row({
  depth,
  icon,
  name,
  detail,
  expanded,
  onClick,
}: {
  depth: number;
  icon: React.ReactNode;
  name: string;
  detail?: string;
  expanded?: boolean;
  onClick: () => void;
}) {
  return (
    <button
      type="button"
      onClick={onClick}
      {...(expanded === undefined ? {} : { 'aria-expanded': expanded })}
      className="flex h-7 w-full items-center gap-1.5 rounded-md pr-2 text-left text-[0.88rem] hover:bg-hover [&_svg]:size-4 [&_svg]:shrink-0 [&_svg]:text-muted"
      style={{ paddingLeft: depth * 14 + 6 }}
    >
      {expanded === undefined ? (
        <span className="w-4 shrink-0" />
      ) : (
        <ChevronRight aria-hidden className={classNames('transition-transform', expanded && 'rotate-90')} />
      )}
      {icon}
      <span className="min-w-0 flex-1 truncate">{name}</span>
      {detail !== undefined && <span className="text-xs text-muted">{detail}</span>}
    </button>
  );
}

function sizeOf(file: FileInfo): string {
  return file.type === 'symlink' ? `→ ${sanitizeLine(file.target ?? '')}` : bytes(file.sizeBytes);
}

const maxReadBytes = 512 * 1024;
const images: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
};

type Content = { kind: 'text'; text: string; truncated: boolean } | { kind: 'image'; url: string } | { kind: 'binary' };

function Viewer({
  session,
  path,
  stamp,
  onBack,
}: {
  session: Session;
  path: string;
  stamp: string;
  onBack: () => void;
}) {
  const content = useQuery({
    queryKey: ['file', session.id, path, stamp],
    queryFn: ({ signal }) => readContent(session.id, path, signal),
    placeholderData: (before) => before,
  });
  const shown = path.startsWith(`${session.cwd}/`) ? path.slice(session.cwd.length + 1) : path;
  return (
    <div className="flex h-full flex-col">
      <div className="flex items-center gap-1 px-2 py-1.5">
        <IconButton label="Back to the files" onClick={onBack}>
          <ArrowLeft />
        </IconButton>
        <h2 className="min-w-0 flex-1 truncate font-mono text-sm">{sanitizeLine(shown)}</h2>
      </div>
      {content.isPending ? (
        <Loading label="Reading" />
      ) : content.isError ? (
        <Failure error={content.error} onRetry={() => void content.refetch()} className="m-3" />
      ) : content.data.kind === 'binary' ? (
        <Empty icon={<FileIcon />} title="Not a text file" />
      ) : content.data.kind === 'image' ? (
        <div className="min-h-0 flex-1 overflow-auto p-3">
          <img alt={sanitizeLine(shown)} src={content.data.url} className="max-w-full border border-line" />
        </div>
      ) : (
        <Text text={content.data.text} path={path} truncated={content.data.truncated} />
      )}
    </div>
  );
}

function Text({ text, path, truncated }: { text: string; path: string; truncated: boolean }) {
  const lines = text.split('\n').length;
  return (
    <div
      className="min-h-0 flex-1 overflow-auto border-t border-line bg-surface"
      tabIndex={0}
      role="group"
      aria-label="Content of the file"
    >
      <div className="flex w-max min-w-full font-mono text-[0.82rem] leading-normal">
        <pre aria-hidden className="sticky left-0 bg-surface py-2 pr-3 pl-3 text-right text-muted select-none">
          {Array.from({ length: lines }, (_, index) => index + 1).join('\n')}
        </pre>
        <pre className="py-2 pr-4">
          <Highlighted text={text} language={languageOf(path)} />
        </pre>
      </div>
      {truncated && <p className="p-3 text-sm text-muted">Only the first {bytes(maxReadBytes)} are shown.</p>}
    </div>
  );
}

async function readContent(sessionId: string, path: string, signal: AbortSignal): Promise<Content> {
  const stream = await client.sessions.files.read(sessionId, path, { signal });
  const image = images[path.split('.').at(-1)?.toLowerCase() ?? ''];
  const limit = image === undefined ? maxReadBytes : 8 * 1024 * 1024;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = stream.getReader();
  while (size <= limit) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value as Uint8Array<ArrayBuffer>);
    size += value.length;
  }
  await reader.cancel();
  // An SVG can hold a script, so it is only ever text; these cannot.
  if (image !== undefined && size <= limit)
    return { kind: 'image', url: URL.createObjectURL(new Blob(chunks, { type: image })) };
  const all = new Uint8Array(await new Blob(chunks).slice(0, maxReadBytes).arrayBuffer());
  if (all.includes(0)) return { kind: 'binary' };
  return { kind: 'text', text: sanitize(new TextDecoder().decode(all)), truncated: size > maxReadBytes };
}
