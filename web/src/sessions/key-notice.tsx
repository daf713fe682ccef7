import { Link } from '@tanstack/react-router';
import { KeyRound } from 'lucide-react';
import type { AgentInfo } from '../../../src/sdk/index.ts';
import { Button } from '../ui/button.tsx';

/** Without a key an agent's first turn would fail; what to do about it, before it does. */
export function KeyNotice({ agent, onShell }: { agent: AgentInfo; onShell: () => void }) {
  return (
    <div role="note" className="flex flex-wrap items-center gap-x-3 gap-y-2 rounded-lg bg-warn-soft px-3.5 py-2.5 text-sm">
      <KeyRound aria-hidden className="size-4 shrink-0 text-warn" />
      <p className="min-w-48 flex-1">
        {agent.title} needs a key for its model, and you have none yet.{' '}
        <Link to="/keys" className="font-medium text-accent underline underline-offset-2">
          Add a key
        </Link>
        , and come back here; or try a script first, which needs none.
      </p>
      <Button size="small" onClick={onShell}>
        Use the shell
      </Button>
    </div>
  );
}
