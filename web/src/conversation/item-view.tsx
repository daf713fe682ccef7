import {
  Ban,
  Brain,
  Check,
  ChevronRight,
  Circle,
  CircleAlert,
  CircleCheck,
  CircleDot,
  ExternalLink,
  GitFork,
  Info,
} from 'lucide-react';
import { memo, useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { IconButton } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { clockTime, count, duration } from '../ui/time.ts';
import type { Item } from './items.ts';
import { Markdown } from './markdown.tsx';
import { placeInQueue } from './model.ts';
import { useForking } from './fork/forking.ts';
import { SnapshotMark } from './fork/snapshot-mark.tsx';
import { PermissionCard } from './permission-card.tsx';
import { ToolCard } from './tool-card.tsx';

export interface ItemViewProps {
  item: Item;
  sessionId: string;
  cwd: string | null;
  /** It is the request that the keys answer. */
  active: boolean;
}

export const ItemView = memo(function ItemView({ item, sessionId, cwd, active }: ItemViewProps) {
  switch (item.kind) {
    case 'prompt':
      return <Prompt item={item} />;
    case 'text':
      return <Markdown text={item.text} />;
    case 'thought':
      return <Thought text={item.text} />;
    case 'image':
      return (
        <img
          alt="From the agent"
          src={`data:${item.mimeType};base64,${item.data}`}
          className="max-h-120 max-w-full rounded-lg border border-line"
        />
      );
    case 'tool':
      return <ToolCard call={item.call} cwd={cwd} />;
    case 'plan':
      return <Plan item={item} />;
    case 'permission':
      return <PermissionCard request={item} sessionId={sessionId} cwd={cwd} active={active} />;
    case 'note':
      return <Note item={item} />;
    case 'snapshot':
      return <SnapshotMark item={item} />;
    case 'end':
      return <End item={item} />;
  }
});

function Prompt({ item }: { item: Item & { kind: 'prompt' } }) {
  return (
    <div className="mt-3 flex flex-col items-end gap-1">
      <div className="max-w-[85%] rounded-2xl rounded-br-md bg-accent-soft px-4 py-2.5">
        {item.parts.map((part, index) =>
          part.image !== null ? (
            <img
              key={index}
              alt="Attached"
              src={`data:${part.image.mimeType};base64,${part.image.data}`}
              className="my-1 max-h-60 rounded-lg"
            />
          ) : part.type === 'text' ? (
            <p key={index} className="break-words whitespace-pre-wrap">
              {part.text}
            </p>
          ) : (
            <p key={index} className="font-mono text-sm text-muted">
              @{part.text}
            </p>
          ),
        )}
      </div>
      <p className="flex gap-2 pr-1 text-xs text-muted">
        {item.queue !== null && <span className="font-medium text-queued">{placeInQueue(item.queue)}</span>}
        <span>
          {sanitizeLine(item.by)} · <time dateTime={item.at}>{clockTime(item.at)}</time>
        </span>
      </p>
    </div>
  );
}

function Thought({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  const [first = ''] = text.split('\n');
  const foldable = text.length > 160 || text.includes('\n');
  const heading = (
    <>
      <Brain aria-hidden className="mt-1 size-4 shrink-0" />
      <span className={classNames('min-w-0 flex-1 italic', foldable && !open ? 'truncate' : 'break-words')}>
        <span className="sr-only">Thought: </span>
        {open ? 'Thought' : first}
      </span>
    </>
  );
  if (!foldable) return <p className="flex items-start gap-2 text-[0.92rem] text-muted">{heading}</p>;
  return (
    <div className="text-[0.92rem] text-muted">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex w-full items-start gap-2 rounded-md text-left hover:text-text"
      >
        {heading}
        <ChevronRight
          aria-hidden
          className={classNames('mt-1 size-3.5 shrink-0 transition-transform', open && 'rotate-90')}
        />
      </button>
      {open && <p className="mt-1 border-l-2 border-line pl-4 break-words whitespace-pre-wrap italic">{text}</p>}
    </div>
  );
}

const planLooks = {
  completed: { icon: CircleCheck, name: 'done', className: 'text-good' },
  in_progress: { icon: CircleDot, name: 'under way', className: 'text-accent' },
  pending: { icon: Circle, name: 'to do', className: 'text-muted' },
};

function Plan({ item }: { item: Item & { kind: 'plan' } }) {
  const done = item.entries.filter((entry) => entry.status === 'completed').length;
  return (
    <section aria-label="Plan" className="rounded-lg border border-line bg-surface px-3.5 py-2.5">
      <p className="mb-1.5 text-xs font-medium text-muted">
        Plan · {done} of {item.entries.length}
      </p>
      <ul className="space-y-1">
        {item.entries.map((entry, index) => {
          const look = planLooks[entry.status];
          return (
            <li key={index} className="flex items-start gap-2 text-[0.93rem]">
              <look.icon
                role="img"
                aria-label={look.name}
                className={classNames('mt-0.5 size-4 shrink-0', look.className)}
              />
              <span
                className={classNames(
                  'min-w-0 break-words',
                  entry.status === 'completed' && 'text-muted line-through',
                  entry.status === 'in_progress' && 'font-medium',
                )}
              >
                {entry.content}
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

const noteLooks = {
  quiet: { icon: Info, className: 'text-muted' },
  good: { icon: CircleCheck, className: 'text-good' },
  warn: { icon: CircleAlert, className: 'text-warn' },
  bad: { icon: CircleAlert, className: 'text-bad' },
};

function Note({ item }: { item: Item & { kind: 'note' } }) {
  const look = noteLooks[item.tone];
  const heading = (
    <>
      <look.icon aria-hidden className="size-3.5 shrink-0" />
      <span className="min-w-0 break-words">{item.text}</span>
    </>
  );
  if (item.detail !== null) {
    return (
      <details className={classNames('text-[0.85rem]', look.className)}>
        <summary className="flex items-center gap-2">
          {heading}
          <ChevronRight aria-hidden className="size-3" />
        </summary>
        <pre
          tabIndex={0}
          className="mt-1 max-h-60 overflow-auto rounded-md bg-code px-3 py-2 font-mono text-[0.8rem] whitespace-pre-wrap text-text"
        >
          {item.detail}
        </pre>
      </details>
    );
  }
  return (
    <p className={classNames('flex items-center gap-2 text-[0.85rem]', look.className)}>
      {heading}
      {item.href !== null && /^https?:/.test(item.href) && (
        <a
          href={item.href}
          target="_blank"
          rel="noopener noreferrer"
          className="inline-flex items-center gap-1 text-accent underline"
        >
          open <ExternalLink aria-hidden className="size-3" />
        </a>
      )}
    </p>
  );
}

function End({ item }: { item: Item & { kind: 'end' } }) {
  const { allowed, forkFromTurn } = useForking();
  const facts = [
    item.tookMs === null ? null : duration(item.tookMs),
    item.tokens > 0 ? `${count(item.tokens)} tokens` : null,
    item.stopReason === null ? null : `stopped: ${item.stopReason}`,
  ].filter((fact) => fact !== null);
  const [label, Icon, tone] = (
    {
      completed: ['Done', Check, 'text-muted'],
      cancelled: ['Interrupted', Ban, 'text-warn'],
      failed: ['Failed', CircleAlert, 'text-bad'],
    } as const
  )[item.outcome];
  return (
    <div className="mb-2">
      <div className={classNames('flex items-center gap-2 text-xs', tone)}>
        <Icon aria-hidden className="size-3.5" />
        <span>{[label, ...facts].join(' · ')}</span>
        <span className="h-px flex-1 bg-line" />
        {allowed && (
          <IconButton label="Fork from here" className="!size-6 [&_svg]:!size-3.5" onClick={() => forkFromTurn(item.key)}>
            <GitFork />
          </IconButton>
        )}
      </div>
      {item.error !== null && <p className="mt-1 text-sm break-words whitespace-pre-wrap text-bad">{item.error}</p>}
    </div>
  );
}
