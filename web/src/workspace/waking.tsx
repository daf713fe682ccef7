import { useIsFetching, useQuery } from '@tanstack/react-query';
import { LoaderCircle } from 'lucide-react';
import { poolQuery } from '../queries.ts';

/** First words of the keys under which is kept what only a running sandbox can tell. */
const inside: readonly unknown[] = ['diff', 'files', 'file', 'terminals'];

/** What a look inside waits for while it is answered: the sandbox itself, or a slot for it. */
export function Waking({ sessionId }: { sessionId: string }) {
  const asked = useIsFetching({ predicate: ({ queryKey: [what, whose] }) => whose === sessionId && inside.includes(what) });
  const { data: pool } = useQuery(poolQuery);
  if (asked === 0) return null;
  const isFull = pool !== undefined && pool.used >= pool.slots;
  return (
    <p role="status" className="flex items-center gap-2 border-b border-line px-4 py-2 text-sm text-muted">
      <LoaderCircle aria-hidden className="size-4 shrink-0 animate-spin" />
      {isFull
        ? `All ${pool.slots} slots are busy. It wakes when one is free; if none is within a minute, that is said here.`
        : 'The sandbox is waking up.'}
    </p>
  );
}
