import { classNames } from './class-names.ts';

/** How much of a limit is used; a limit of 0 is none. */
export function Meter({
  label,
  used,
  limit,
  format,
}: {
  label: string;
  used: number;
  limit: number;
  format: (value: number) => string;
}) {
  const part = limit > 0 ? Math.min(1, used / limit) : 0;
  return (
    <div>
      <div className="mb-1 flex justify-between gap-3 text-[0.88rem]">
        <span className="text-muted">{label}</span>
        <span>
          {format(used)}
          <span className="text-muted"> {limit > 0 ? `of ${format(limit)}` : 'without a limit'}</span>
        </span>
      </div>
      <div
        role="meter"
        aria-label={label}
        aria-valuenow={Math.round(used)}
        aria-valuemin={0}
        aria-valuemax={limit > 0 ? Math.round(limit) : Math.max(1, Math.round(used))}
        aria-valuetext={format(used)}
        className="h-2 overflow-hidden rounded-full bg-raised"
      >
        <div
          className={classNames(
            'h-full rounded-full transition-[width] duration-500',
            part > 0.9 ? 'bg-bad' : part > 0.7 ? 'bg-warn' : 'bg-accent',
          )}
          style={{ width: `${100 * part}%` }}
        />
      </div>
    </div>
  );
}
