import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Plus, TerminalSquare, X } from 'lucide-react';
import { useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { toastFailure } from '../ui/toasts.tsx';
import { TerminalView } from './terminal-view.tsx';

/** Shells in the sandbox. They are processes of their own: closing the page leaves them running, and it finds them again. */
export default function Terminals({ session }: { session: Session }) {
  const queries = useQueryClient();
  const [chosen, setChosen] = useState<string | null>(null);
  const queryKey = ['terminals', session.id];
  const listed = useQuery({
    queryKey,
    queryFn: async ({ signal }) =>
      (await client.sessions.processes.list(session.id, { signal })).filter((each) => each.pty && each.exit === null),
    refetchInterval: 5_000,
  });

  async function open(): Promise<void> {
    const shell = ['sh', '-c', 'exec "$(command -v bash || echo sh)" -i'];
    const made = await client.sessions.processes.start(session.id, {
      argv: shell,
      pty: { cols: 80, rows: 24 },
      env: { TERM: 'xterm-256color', COLORTERM: 'truecolor' },
    });
    await queries.invalidateQueries({ queryKey });
    setChosen(made.id);
  }

  if (listed.isPending) return <Loading label="Looking for terminals" />;
  if (listed.isError && listed.data === undefined)
    return <Failure error={listed.error} onRetry={() => void listed.refetch()} className="m-3" />;
  const terminals = listed.data ?? [];
  const current = terminals.find((each) => each.id === chosen) ?? terminals.at(-1);
  const start = (): void => void open().catch(toastFailure('No terminal'));

  if (current === undefined) {
    return (
      <Empty icon={<TerminalSquare />} title="No terminal is open">
        <p className="mb-3">A shell in the sandbox, beside the agent.</p>
        <Button tone="accent" onClick={start}>
          Open a terminal
        </Button>
      </Empty>
    );
  }
  return (
    <div className="flex h-full flex-col">
      <div className="flex items-center gap-1 px-2 py-1.5">
        <div role="group" aria-label="Terminals" className="flex min-w-0 flex-1 gap-1 overflow-x-auto">
          {terminals.map((each, index) => (
            <button
              key={each.id}
              type="button"
              aria-pressed={each.id === current.id}
              onClick={() => setChosen(each.id)}
              className={classNames(
                'shrink-0 rounded-md px-2.5 py-1 text-xs font-medium',
                each.id === current.id ? 'bg-text text-page' : 'text-muted hover:bg-hover',
              )}
            >
              {index + 1} · {nameOf(each.argv)}
            </button>
          ))}
        </div>
        <IconButton
          label="End this terminal"
          onClick={() =>
            void client.sessions.processes
              .signal(session.id, current.id, 'SIGHUP')
              .then(() => queries.invalidateQueries({ queryKey }), toastFailure('Not ended'))
          }
        >
          <X />
        </IconButton>
        <IconButton label="Open another terminal" onClick={start}>
          <Plus />
        </IconButton>
      </div>
      <TerminalView
        key={current.id}
        sessionId={session.id}
        processId={current.id}
        onExit={() => void queries.invalidateQueries({ queryKey })}
      />
    </div>
  );
}

function nameOf(argv: readonly string[]): string {
  const [program = ''] = argv;
  return program === 'sh' ? 'shell' : sanitizeLine(program.split('/').at(-1) ?? '');
}
