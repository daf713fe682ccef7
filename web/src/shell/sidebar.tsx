import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import {
  Activity,
  BellRing,
  Boxes,
  ChartColumn,
  Command,
  EllipsisVertical,
  GitPullRequest,
  Globe,
  KeyRound,
  Layers,
  ListOrdered,
  Plus,
  RotateCcw,
  ScrollText,
  Users,
} from 'lucide-react';
import type { ReactNode } from 'react';
import { client, queryClient } from '../api.ts';
import { deadLettersQuery, meQuery, queueQuery } from '../queries.ts';
import { SessionList } from '../sessions/session-list.tsx';
import { IconButton } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Mark } from '../ui/mark.tsx';
import { Menu, MenuChoices, MenuItem, MenuLine } from '../ui/menu.tsx';
import { Tip } from '../ui/tip.tsx';
import { toastFailure } from '../ui/toasts.tsx';
import { askForNotifications, useNotificationState } from './notifications.ts';
import { setTheme, useTheme, type Theme } from './theme.ts';

export function Sidebar({ className, onPalette }: { className?: string; onPalette: () => void }) {
  const navigate = useNavigate();
  const me = useQuery(meQuery);
  const queue = useQuery(queueQuery);
  const letters = useQuery(deadLettersQuery);
  const theme = useTheme();
  const notifications = useNotificationState();
  const waiting = queue.data?.queued.length ?? 0;
  const dead = letters.data?.filter((each) => each.replayedAt === null).length ?? 0;

  async function signOut(): Promise<void> {
    await client.logout();
    queryClient.clear();
    window.location.assign('/');
  }

  return (
    <div
      className={classNames(
        'flex h-full w-72 shrink-0 flex-col border-r border-line bg-page max-md:w-full max-md:border-0',
        className,
      )}
    >
      <section aria-label="Berth" className="flex items-center gap-2 px-3.5 py-3">
        <Link to="/" className="flex min-w-0 flex-1 items-center gap-2 rounded-lg">
          <Mark className="size-6" />
          <span className="text-[1.05rem] font-semibold tracking-tight">Berth</span>
        </Link>
        <IconButton label="Commands" keys="Ctrl+K" onClick={onPalette}>
          <Command />
        </IconButton>
        <Tip text="New session · C">
          <Link
            to="/new"
            aria-label="New session"
            className="inline-flex size-8 items-center justify-center rounded-lg bg-accent text-accent-text hover:brightness-110"
          >
            <Plus className="size-4.5" />
          </Link>
        </Tip>
      </section>
      <SessionList />
      <nav aria-label="Operating" className="flex items-center gap-0.5 border-t border-line px-2 py-2">
        <Operate to="/queue" label="Queue" count={waiting} icon={<ListOrdered />} />
        <Operate to="/dead-letters" label="Dead letters" count={dead} icon={<RotateCcw />} />
        <Operate to="/sandboxes" label="Sandboxes" icon={<Boxes />} />
        <Operate to="/usage" label="Usage" icon={<ChartColumn />} />
        <Operate to="/people" label="People" icon={<Users />} />
        <Operate to="/keys" label="Keys" icon={<KeyRound />} />
        {me.data?.role === 'owner' && <Operate to="/audit" label="Audit" icon={<ScrollText />} />}
        <span className="flex-1" />
        <Menu
          trigger={
            <IconButton label="You and this page">
              <EllipsisVertical />
            </IconButton>
          }
        >
          <MenuChoices
            label="Appearance"
            value={theme}
            onChange={(value) => setTheme(value as Theme)}
            choices={[
              { value: 'system', label: 'As the system' },
              { value: 'light', label: 'Light' },
              { value: 'dark', label: 'Dark' },
            ]}
          />
          <MenuLine />
          {notifications === 'default' && (
            <MenuItem onSelect={() => void askForNotifications()}>
              <BellRing />
              Notify me
            </MenuItem>
          )}
          <MenuItem onSelect={() => void navigate({ to: '/templates' })}>
            <Layers />
            Templates
          </MenuItem>
          <MenuItem onSelect={() => void navigate({ to: '/network' })}>
            <Globe />
            Network
          </MenuItem>
          <MenuItem onSelect={() => void navigate({ to: '/github' })}>
            <GitPullRequest />
            GitHub
          </MenuItem>
          <MenuItem onSelect={() => void navigate({ to: '/health' })}>
            <Activity />
            Health of this server
          </MenuItem>
          <MenuItem onSelect={() => void signOut().catch(toastFailure('Could not sign out'))}>
            Sign out{me.data === undefined ? '' : ` ${me.data.user}`}
          </MenuItem>
        </Menu>
      </nav>
    </div>
  );
}

function Operate({ to, label, count = 0, icon }: { to: string; label: string; count?: number; icon: ReactNode }) {
  return (
    <Tip text={label}>
      <Link
        to={to}
        aria-label={count > 0 ? `${label}: ${count}` : label}
        className="relative inline-flex size-8 items-center justify-center rounded-lg text-muted hover:bg-hover hover:text-text [&_svg]:size-4.5"
        activeProps={{ className: 'bg-hover text-text' }}
      >
        {icon}
        {count > 0 && (
          <span
            aria-hidden
            className="absolute top-0 right-0 min-w-4 rounded-full bg-queued px-1 text-center text-[0.65rem] leading-4 font-semibold text-surface"
          >
            {count > 99 ? '99+' : count}
          </span>
        )}
      </Link>
    </Tip>
  );
}
