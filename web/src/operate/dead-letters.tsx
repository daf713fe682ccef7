import { useQuery, useQueryClient } from '@tanstack/react-query';
import { MailCheck } from 'lucide-react';
import { useState } from 'react';
import { sanitize } from '../../../src/protocol/inert-text.ts';
import type { DeadLetter } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { deadLettersQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';
import { toast, toastFailure } from '../ui/toasts.tsx';
import { SessionLink } from '../sessions/session-link.tsx';

export function DeadLettersPage() {
  const letters = useQuery(deadLettersQuery);
  return (
    <Page
      title="Dead letters"
      about="Turns that Berth failed, after every attempt. Replaying one sends the same prompt again."
    >
      {letters.isPending && <Loading />}
      {letters.isError && letters.data === undefined && (
        <Failure error={letters.error} onRetry={() => void letters.refetch()} />
      )}
      {letters.data?.length === 0 && (
        <Empty icon={<MailCheck />} title="None">
          Every turn reached its agent.
        </Empty>
      )}
      <ul className="space-y-3">
        {letters.data?.map((letter) => (
          <Letter key={letter.turnId} letter={letter} />
        ))}
      </ul>
    </Page>
  );
}

function Letter({ letter }: { letter: DeadLetter }) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const replay = async (): Promise<void> => {
    setBusy(true);
    const admitted = await client.deadLetters.replay(letter.turnId).finally(() => setBusy(false));
    toast(admitted.message || 'Sent again');
    await queries.invalidateQueries({ queryKey: deadLettersQuery.queryKey });
  };
  return (
    <li className="flex flex-wrap items-start gap-x-4 gap-y-2 rounded-xl border border-line bg-surface p-4">
      <div className="min-w-0 flex-1 basis-72">
        <p>
          <SessionLink sessionId={letter.sessionId} />
        </p>
        <p className="mt-1 text-sm break-words whitespace-pre-wrap text-bad">{sanitize(letter.message)}</p>
        <p className="mt-1 text-xs text-muted">
          <code className="font-mono">{letter.code}</code> · {letter.attempts}{' '}
          {letter.attempts === 1 ? 'attempt' : 'attempts'} · {clockTime(letter.failedAt)}
        </p>
      </div>
      {letter.replayedAt === null ? (
        <Button size="small" disabled={busy} onClick={() => void replay().catch(toastFailure('Not replayed'))}>
          Replay
        </Button>
      ) : (
        <p className="text-xs text-muted">Replayed {clockTime(letter.replayedAt)}</p>
      )}
    </li>
  );
}
