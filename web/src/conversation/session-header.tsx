import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import {
  Archive,
  ArrowLeft,
  Camera,
  Copy,
  EllipsisVertical,
  GitBranch,
  GitFork,
  PanelRight,
  Pause,
  Power,
  Share2,
  Snowflake,
  Trash2,
} from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session, SessionStatus } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { queueQuery, sessionsQuery } from '../queries.ts';
import { placeOf } from '../sessions/session-list.tsx';
import { StatusBadge } from '../sessions/status.tsx';
import { repositoryName, titleOf } from '../sessions/title.ts';
import { useMay } from '../sessions/use-may.ts';
import { IconButton } from '../ui/button.tsx';
import { confirmed } from '../ui/confirm.tsx';
import { Menu, MenuItem, MenuLine } from '../ui/menu.tsx';
import { toast, toastFailure } from '../ui/toasts.tsx';
import { SessionLink } from '../sessions/session-link.tsx';
import { useForking } from './fork/forking.ts';

const ShareDialog = lazy(async () => ({ default: (await import('./share-dialog.tsx')).ShareDialog }));

export interface SessionHeaderProps {
  session: Session;
  status: SessionStatus;
  workspaceOpen: boolean;
  onWorkspace: () => void;
}

export function SessionHeader({ session, status, workspaceOpen, onWorkspace }: SessionHeaderProps) {
  const queue = useQuery({ ...queueQuery, enabled: status === 'queued' });
  const repository = repositoryName(session.repository);
  return (
    <header className="flex items-center gap-2.5 border-b border-line bg-page px-4 py-2.5 max-md:px-2">
      <Link to="/" aria-label="Back to sessions" className="rounded-lg p-1.5 text-muted hover:bg-hover md:hidden">
        <ArrowLeft className="size-5" />
      </Link>
      <div className="min-w-0 flex-1">
        <div className="flex items-center gap-2.5">
          <h1 className="truncate text-[1.02rem] font-semibold">{titleOf(session)}</h1>
          <StatusBadge status={status} detail={status === 'queued' ? placeOf(session.id, queue.data) : undefined} />
        </div>
        <p className="flex items-center gap-1.5 truncate text-xs text-muted">
          <span>{sanitizeLine(session.agent)}</span>
          {repository !== '' && <span>· {repository}</span>}
          {session.forkedFrom !== null && (
            <span className="inline-flex min-w-0 items-center gap-1">
              · <GitFork aria-hidden className="size-3 shrink-0" />
              <span className="truncate">
                forked from <SessionLink sessionId={session.forkedFrom} />
              </span>
            </span>
          )}
          {session.branch !== null && (
            <span className="inline-flex min-w-0 items-center gap-1 max-md:hidden">
              · <GitBranch aria-hidden className="size-3 shrink-0" />
              <span className="truncate font-mono">{sanitizeLine(session.branch)}</span>
            </span>
          )}
        </p>
      </div>
      <IconButton
        label={workspaceOpen ? 'Hide the workspace' : 'Show the workspace'}
        keys="W"
        aria-pressed={workspaceOpen}
        onClick={onWorkspace}
        className={workspaceOpen ? 'bg-hover text-text' : ''}
      >
        <PanelRight />
      </IconButton>
      <SessionMenu session={session} />
    </header>
  );
}

function SessionMenu({ session }: { session: Session }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const forking = useForking();
  const may = useMay(session.id);
  const [sharing, setSharing] = useState(false);

  const rest = (step: 'pause' | 'hibernate' | 'stop' | 'archive') => () =>
    void client.sessions
      .rest(session.id, step)
      .then(() => queries.invalidateQueries({ queryKey: ['session', session.id] }), toastFailure(`Could not ${step}`));

  async function remove(): Promise<void> {
    const lost = 'Its sandbox goes with it: files, processes, the conversation. What was not pushed is gone. Its snapshots stay.';
    if (!(await confirmed({ title: `Delete ${titleOf(session)}?`, lost, action: 'Delete' }))) return;
    toast('Deleting the session and its sandbox');
    await navigate({ to: '/' });
    await client.sessions.delete(session.id);
    await queries.invalidateQueries({ queryKey: sessionsQuery.queryKey });
  }

  return (
    <>
      <Menu
        trigger={
          <IconButton label="More about this session">
            <EllipsisVertical />
          </IconButton>
        }
      >
        <MenuItem
          onSelect={() => void navigator.clipboard.writeText(`berth attach ${session.id}`).then(() => toast('Copied'))}
        >
          <Copy />
          Copy the command to attach
        </MenuItem>
        {forking.allowed && (
          <>
            <MenuItem onSelect={() => forking.fork(null)}>
              <GitFork />
              Fork
            </MenuItem>
            <MenuItem onSelect={() => forking.openSnapshots()}>
              <Camera />
              Snapshots…
            </MenuItem>
          </>
        )}
        {may('session:manage') && (
          <>
            <MenuItem onSelect={() => setSharing(true)}>
              <Share2 />
              Share…
            </MenuItem>
            <MenuLine />
            <MenuItem onSelect={rest('pause')}>
              <Pause />
              Pause
            </MenuItem>
            <MenuItem onSelect={rest('hibernate')}>
              <Snowflake />
              Hibernate
            </MenuItem>
            <MenuItem onSelect={rest('stop')}>
              <Power />
              Stop
            </MenuItem>
            <MenuItem onSelect={rest('archive')}>
              <Archive />
              Archive
            </MenuItem>
            <MenuLine />
            <MenuItem danger onSelect={() => void remove().catch(toastFailure('Not deleted'))}>
              <Trash2 />
              Delete…
            </MenuItem>
          </>
        )}
      </Menu>
      {sharing && (
        <Suspense>
          <ShareDialog session={session} onClose={() => setSharing(false)} />
        </Suspense>
      )}
    </>
  );
}
