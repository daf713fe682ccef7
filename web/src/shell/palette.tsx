import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Command } from 'cmdk';
import { meQuery, sessionsQuery } from '../queries.ts';
import { StatusDot } from '../sessions/status.tsx';
import { repositoryName, titleOf } from '../sessions/title.ts';
import { setTheme } from './theme.ts';

const itemClass =
  'flex h-9 items-center gap-2.5 rounded-lg px-3 text-[0.92rem] select-none data-[selected=true]:bg-hover';

const pages = [
  ['New session', '/new'],
  ['Queue', '/queue'],
  ['Dead letters', '/dead-letters'],
  ['Sandboxes', '/sandboxes'],
  ['Templates', '/templates'],
  ['Network: what sessions connect to', '/network'],
  ['Health', '/health'],
  ['GitHub', '/github'],
  ['Usage and budgets', '/usage'],
  ['People, teams, quotas and tokens', '/people'],
  ['Keys and secrets', '/keys'],
] as const;
const ownersPages = [['Audit', '/audit']] as const;

/** All words must be in it; those that it begins with come first. Letters in a row would be found in any id. */
function matchOf(value: string, search: string): number {
  const [text, wanted] = [value.toLowerCase(), search.toLowerCase().trim()];
  if (!wanted.split(/\s+/).every((word) => text.includes(word))) return 0;
  return text.startsWith(wanted) ? 1 : 0.5;
}

/** Everything that can be gone to or done, by typing. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const sessions = useQuery(sessionsQuery);
  const me = useQuery(meQuery);
  const reachable = me.data?.role === 'owner' ? [...pages, ...ownersPages] : pages;
  const run = (action: () => void) => () => {
    onClose();
    action();
  };
  return (
    <Command.Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      label="Commands"
      filter={matchOf}
      overlayClassName="fixed inset-0 z-40 bg-black/45"
      contentClassName="animate-appear fixed top-[12vh] left-1/2 z-40 w-[min(36rem,calc(100vw-1.5rem))] -translate-x-1/2 overflow-hidden rounded-2xl border border-line bg-surface shadow-2xl"
    >
      <Command.Input
        placeholder="Go to a session or page, or do something"
        className="h-12 w-full border-b border-line bg-transparent px-4 text-base outline-none placeholder:text-muted"
      />
      <Command.List className="max-h-[50vh] overflow-y-auto p-1.5 [&_[cmdk-group-heading]]:px-3 [&_[cmdk-group-heading]]:py-1.5 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-muted">
        <Command.Empty className="py-8 text-center text-sm text-muted">Nothing matches.</Command.Empty>
        <Command.Group heading="Sessions">
          {(sessions.data ?? []).map((session) => (
            <Command.Item
              key={session.id}
              value={`${titleOf(session)} ${session.repository ?? ''} ${session.id}`}
              className={itemClass}
              onSelect={run(() => void navigate({ to: '/sessions/$sessionId', params: { sessionId: session.id } }))}
            >
              <StatusDot status={session.status} />
              <span className="min-w-0 flex-1 truncate">{titleOf(session)}</span>
              <span className="truncate text-xs text-muted">{repositoryName(session.repository)}</span>
            </Command.Item>
          ))}
        </Command.Group>
        <Command.Group heading="Pages">
          {reachable.map(([label, to]) => (
            <Command.Item key={to} value={label} className={itemClass} onSelect={run(() => void navigate({ to }))}>
              {label}
            </Command.Item>
          ))}
        </Command.Group>
        <Command.Group heading="Appearance">
          {(['light', 'dark', 'system'] as const).map((theme) => (
            <Command.Item
              key={theme}
              value={`appearance ${theme}`}
              className={itemClass}
              onSelect={run(() => setTheme(theme))}
            >
              {theme === 'system' ? 'As the system' : theme === 'dark' ? 'Dark' : 'Light'}
            </Command.Item>
          ))}
        </Command.Group>
      </Command.List>
    </Command.Dialog>
  );
}
