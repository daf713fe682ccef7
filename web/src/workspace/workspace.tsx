import { Coins, FileDiff, Folder, GitCommitHorizontal, Gauge, Globe, TerminalSquare, X } from 'lucide-react';
import { Tabs } from 'radix-ui';
import { lazy, Suspense, useState, type ReactNode } from 'react';
import type { Session } from '../../../src/sdk/index.ts';
import type { Facts } from '../conversation/model.ts';
import { useMay } from '../sessions/use-may.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { Empty, Loading } from '../ui/states.tsx';
import { Files } from './files.tsx';
import { Git } from './git.tsx';
import { NetworkPanel } from './network-panel.tsx';
import { SandboxPanel } from './sandbox-panel.tsx';
import { UsagePanel } from './usage-panel.tsx';
import { Waking } from './waking.tsx';

const Changes = lazy(() => import('./changes.tsx'));
const Terminals = lazy(() => import('./terminals.tsx'));

const tabs = [
  ['changes', 'Changes', FileDiff],
  ['files', 'Files', Folder],
  ['terminals', 'Terminals', TerminalSquare],
  ['git', 'Git', GitCommitHorizontal],
  ['sandbox', 'Sandbox', Gauge],
  ['network', 'Network', Globe],
  ['usage', 'Usage', Coins],
] as const;

const key = 'berth.workspace.tab';

/** What the agent works on, beside the conversation about it. */
export default function Workspace({
  session,
  facts,
  onClose,
}: {
  session: Session;
  facts: Facts;
  onClose: () => void;
}) {
  const [tab, setTab] = useState<string>(() => localStorage.getItem(key) ?? 'changes');
  const [woken, setWoken] = useState(false);
  const mayWork = useMay(session.id)('session:prompt');
  const offered = tabs.filter(([value]) => value !== 'terminals' || mayWork);
  const status = facts.status ?? session.status;
  const resting = ['paused', 'hibernated', 'stopped', 'failed'].includes(status) || session.sandboxId === null;

  // It may go to rest again: then the next look inside is asked for anew.
  if (woken && !resting) setWoken(false);

  const inside = (panel: ReactNode): ReactNode =>
    resting && !woken ? (
      <Empty
        icon={<Folder />}
        title={session.sandboxId === null ? 'There is no sandbox yet' : `The sandbox is ${status}`}
      >
        <p className="mb-3">Looking inside {session.sandboxId === null ? 'makes it' : 'wakes it'}.</p>
        <Button onClick={() => setWoken(true)}>Look inside</Button>
      </Empty>
    ) : (
      <div className="flex h-full flex-col">
        {resting && <Waking sessionId={session.id} />}
        <div className="min-h-0 flex-1">{panel}</div>
      </div>
    );

  return (
    <Tabs.Root
      value={offered.some(([value]) => value === tab) ? tab : 'changes'}
      onValueChange={(value) => {
        setTab(value);
        localStorage.setItem(key, value);
      }}
      asChild
    >
      <div className="flex h-full min-w-0 flex-col">
        <div className="@container flex items-center border-b border-line px-2 py-1.5">
          <Tabs.List aria-label="Workspace" className="flex min-w-0 flex-1 gap-0.5 overflow-x-auto">
            {offered.map(([value, label, Icon]) => (
              <Tabs.Trigger
                key={value}
                value={value}
                className="focus-inside inline-flex h-8 shrink-0 items-center gap-1.5 rounded-lg px-2.5 text-[0.87rem] font-medium text-muted hover:bg-hover data-[state=active]:bg-hover data-[state=active]:text-text"
              >
                <Icon aria-hidden className="size-4 @max-2xl:hidden" />
                {label}
              </Tabs.Trigger>
            ))}
          </Tabs.List>
          <IconButton label="Hide the workspace" onClick={onClose}>
            <X />
          </IconButton>
        </div>
        <Suspense fallback={<Loading />}>
          <Panel value="changes">{inside(<Changes session={session} version={facts.workspaceVersion} />)}</Panel>
          <Panel value="files">{inside(<Files session={session} version={facts.workspaceVersion} />)}</Panel>
          {mayWork && <Panel value="terminals">{inside(<Terminals session={session} />)}</Panel>}
          <Panel value="git">
            <Git session={session} facts={facts} live={!resting || woken} onWake={() => setWoken(true)} />
          </Panel>
          <Panel value="sandbox">
            <SandboxPanel session={session} live={!resting || woken} />
          </Panel>
          <Panel value="network">
            <NetworkPanel session={session} />
          </Panel>
          <Panel value="usage">
            <UsagePanel session={session} />
          </Panel>
        </Suspense>
      </div>
    </Tabs.Root>
  );
}

function Panel({ value, children }: { value: string; children: ReactNode }) {
  return (
    <Tabs.Content
      value={value}
      className="min-h-0 flex-1 overflow-hidden outline-none focus-visible:ring-2 focus-visible:ring-accent focus-visible:ring-inset"
    >
      {children}
    </Tabs.Content>
  );
}
