import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import { client } from '../../api.ts';
import { templateJobsQuery, templatesQuery } from '../../queries.ts';
import { Failure } from '../../ui/states.tsx';

/** Lines that are kept; a long build has more than anybody reads. */
const keptLines = 2_000;
const publishMs = 100;

/** What a job says, as it says it. */
export function JobLog({ id }: { id: string }) {
  const queries = useQueryClient();
  const [lines, setLines] = useState<readonly string[]>([]);
  const [failure, setFailure] = useState<unknown>(null);
  const box = useRef<HTMLPreElement>(null);

  useEffect(() => {
    const stop = new AbortController();
    let heard: string[] = [];
    let timer: ReturnType<typeof setTimeout> | null = null;
    const publish = (): void => {
      timer = null;
      if (!stop.signal.aborted) setLines(heard);
    };
    async function follow(): Promise<void> {
      for await (const event of client.templates.follow(id, { signal: stop.signal })) {
        if (event.type === 'ended') {
          await queries.invalidateQueries({ queryKey: templateJobsQuery.queryKey });
          await queries.invalidateQueries({ queryKey: templatesQuery.queryKey });
          return;
        }
        heard = [...heard.slice(1 - keptLines), sanitizeLine(event.text)];
        timer ??= setTimeout(publish, publishMs);
      }
    }
    follow()
      .catch((error: unknown) => !stop.signal.aborted && setFailure(error))
      .finally(publish);
    return () => {
      stop.abort();
      if (timer !== null) clearTimeout(timer);
    };
  }, [id, queries]);

  useLayoutEffect(() => {
    if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);

  return (
    <>
      {failure !== null && <Failure error={failure} className="m-3" />}
      <pre
        ref={box}
        tabIndex={0}
        role="log"
        aria-label="Log of the job"
        className="max-h-80 min-h-16 overflow-auto rounded-b-xl border-t border-line bg-code px-3.5 py-2.5 font-mono text-[0.8rem] whitespace-pre-wrap"
      >
        {lines.length === 0 ? 'Nothing was said yet.' : lines.join('\n')}
      </pre>
    </>
  );
}
