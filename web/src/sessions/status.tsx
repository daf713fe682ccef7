import type { SessionStatus } from '../../../src/sdk/index.ts';
import { classNames } from '../ui/class-names.ts';

interface Look {
  label: string;
  dot: string;
  badge: string;
  moving?: boolean;
}

const looks: Record<SessionStatus, Look> = {
  creating: { label: 'starting', dot: 'bg-accent', badge: 'bg-accent-soft text-accent', moving: true },
  queued: { label: 'queued', dot: 'bg-queued', badge: 'bg-queued-soft text-queued' },
  running: { label: 'running', dot: 'bg-accent', badge: 'bg-accent-soft text-accent', moving: true },
  asking: { label: 'asking', dot: 'bg-warn', badge: 'bg-warn-soft text-warn', moving: true },
  idle: { label: 'idle', dot: 'bg-good', badge: 'bg-good-soft text-good' },
  paused: { label: 'paused', dot: 'bg-line-strong', badge: 'bg-raised text-muted' },
  hibernated: { label: 'hibernated', dot: 'bg-line-strong', badge: 'bg-raised text-muted' },
  stopped: { label: 'stopped', dot: 'bg-line-strong', badge: 'bg-raised text-muted' },
  failed: { label: 'failed', dot: 'bg-bad', badge: 'bg-bad-soft text-bad' },
};

/** Its colour is never the only sign: the label stands beside it, or is read out. */
export function StatusDot({ status }: { status: SessionStatus }) {
  const look = looks[status];
  return (
    <span
      aria-hidden
      className={classNames('inline-block size-2 shrink-0 rounded-full', look.dot, look.moving && 'animate-beat')}
    />
  );
}

export function StatusBadge({ status, detail }: { status: SessionStatus; detail?: string | undefined }) {
  const look = looks[status];
  return (
    <span
      className={classNames(
        'inline-flex items-center gap-1.5 rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap',
        look.badge,
      )}
    >
      <StatusDot status={status} />
      {look.label}
      {detail !== undefined && ` · ${detail}`}
    </span>
  );
}

export function statusLabel(status: SessionStatus): string {
  return looks[status].label;
}
