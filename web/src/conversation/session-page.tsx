import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { LoaderCircle, MessageSquare, WifiOff } from 'lucide-react';
import { lazy, Suspense, useEffect, useState } from 'react';
import { client } from '../api.ts';
import { sessionQuery } from '../queries.ts';
import { statusLabel } from '../sessions/status.tsx';
import { titleOf } from '../sessions/title.ts';
import { useMay } from '../sessions/use-may.ts';
import { useKeys } from '../shell/keys.ts';
import { Page, useTitle } from '../ui/page.tsx';
import { Split } from '../ui/split.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { duration } from '../ui/time.ts';
import { toastFailure } from '../ui/toasts.tsx';
import { useNow } from '../ui/use-now.ts';
import { ProvideForking } from './fork/provide-forking.tsx';
import { Composer } from './composer.tsx';
import { OnlyLooking } from './only-looking.tsx';
import { placeInQueue, type Facts } from './model.ts';
import { SessionHeader } from './session-header.tsx';
import { Timeline } from './timeline.tsx';
import { useConversation } from './use-conversation.ts';

const Workspace = lazy(() => import('../workspace/workspace.tsx'));
const openKey = 'berth.workspace';

export function SessionPage() {
  const { sessionId } = useParams({ from: '/sessions/$sessionId' });
  return <OneSession key={sessionId} sessionId={sessionId} />;
}

function OneSession({ sessionId }: { sessionId: string }) {
  const queries = useQueryClient();
  const query = useQuery(sessionQuery(sessionId));
  const session = query.data;
  const { items, facts, loaded, lost, failure } = useConversation(sessionId, session?.lastSeq);
  const [workspace, setWorkspace] = useState(
    () => localStorage.getItem(openKey) === 'open' && window.innerWidth >= 1000,
  );
  const may = useMay(sessionId);
  const mayPrompt = may('session:prompt');
  const status = facts.status ?? session?.status ?? 'idle';
  const busy = facts.turn !== null || ['queued', 'creating', 'running', 'asking'].includes(status);

  // The stream tells when something changed; what it is, the session itself.
  useEffect(() => {
    if (loaded) void queries.invalidateQueries({ queryKey: ['session', sessionId] });
  }, [queries, sessionId, loaded, facts.status, facts.title]);

  function toggleWorkspace(): void {
    setWorkspace(!workspace);
    localStorage.setItem(openKey, workspace ? 'closed' : 'open');
  }

  useKeys({
    w: toggleWorkspace,
    i: () => document.querySelector<HTMLTextAreaElement>('textarea[aria-label=Prompt]')?.focus(),
    escape: () => {
      if (busy && mayPrompt) void client.sessions.interrupt(sessionId).catch(toastFailure('Not interrupted'));
    },
  });
  useTitle(session === undefined ? 'Session' : `${status === 'asking' ? '● ' : ''}${titleOf(session)}`);

  if (query.isError && session === undefined) {
    return (
      <Page title="Session">
        <Failure error={query.error} onRetry={() => void query.refetch()} />
      </Page>
    );
  }
  if (session === undefined)
    return (
      <main className="flex-1">
        <Loading label="Loading the session" />
      </main>
    );

  const conversation = (
    <main className="flex h-full min-w-0 flex-col">
      <SessionHeader session={session} status={status} workspaceOpen={workspace} onWorkspace={toggleWorkspace} />
      {lost !== null && (
        <p role="status" className="flex items-center gap-2 bg-warn-soft px-4 py-1.5 text-sm text-warn">
          <WifiOff aria-hidden className="size-4" />
          The connection was lost; trying again. Nothing is missed.
        </p>
      )}
      {failure !== null && <Failure error={failure} className="m-3" />}
      {!loaded && failure === null ? (
        <div className="min-h-0 flex-1">
          <Loading label="Reading the conversation" />
        </div>
      ) : items.length === 0 ? (
        <div className="min-h-0 flex-1">
          <Empty icon={<MessageSquare />} title="Nothing was said yet">
            The sandbox is made when it is first needed.
          </Empty>
        </div>
      ) : (
        <Timeline items={items} sessionId={sessionId} cwd={session.cwd} />
      )}
      <Activity facts={facts} label={statusLabel(status)} busy={busy} mayAnswer={may('session:answer')} />
      {mayPrompt ? <Composer session={session} facts={facts} busy={busy} /> : <OnlyLooking owner={session.owner} />}
    </main>
  );

  return (
    <ProvideForking session={session} items={items}>
      <Split
        label="Workspace"
        open={workspace}
        main={conversation}
        side={
          <Suspense fallback={<Loading label="Opening the workspace" />}>
            <Workspace session={session} facts={facts} onClose={toggleWorkspace} />
          </Suspense>
        }
      />
    </ProvideForking>
  );
}

/** One line, always there so that nothing jumps: what is under way. */
function Activity({ facts, label, busy, mayAnswer }: { facts: Facts; label: string; busy: boolean; mayAnswer: boolean }) {
  const now = useNow(1_000);
  const what =
    facts.status === 'asking'
      ? mayAnswer
        ? 'Waiting for your answer'
        : 'Waiting for an answer'
      : (facts.progress?.message ??
        (facts.queue !== null ? placeInQueue(facts.queue) : facts.turn !== null ? 'Working' : label));
  const since = facts.turn === null ? null : duration(Math.max(0, now - Date.parse(facts.turn.startedAt)));
  return (
    <div role="status" className="mx-auto flex h-7 w-full max-w-3xl items-center gap-2 px-5 text-[0.82rem] text-muted">
      {busy && (
        <>
          {facts.status !== 'asking' && (
            <LoaderCircle aria-hidden className="size-3.5 shrink-0 animate-spin text-accent" />
          )}
          <span className="truncate">{what}</span>
          {facts.progress?.fraction != null && <span>{Math.round(facts.progress.fraction * 100)} %</span>}
          {since !== null && <span aria-hidden>{since}</span>}
        </>
      )}
    </div>
  );
}
