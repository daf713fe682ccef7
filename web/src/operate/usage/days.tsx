import { useState } from 'react';
import type { UsageRow } from '../../../../src/sdk/index.ts';
import { classNames } from '../../ui/class-names.ts';
import { amount, costOf, dollars, tokensOf } from '../../usage/amounts.ts';

const measures = {
  tokens: { label: 'Tokens', of: tokensOf, show: amount },
  dollars: { label: 'Dollars', of: (row: UsageRow) => row.pricedCostUsd, show: dollars },
} as const;

/** A bar for each day; what they say is read out as a sentence, and stands in each bar's tip. */
export function Days({ days, rows }: { days: readonly string[]; rows: readonly UsageRow[] }) {
  const [measure, setMeasure] = useState<keyof typeof measures>('tokens');
  const { of, show } = measures[measure];
  const byDay = new Map(rows.map((row) => [row.day, row]));
  const values = days.map((day) => {
    const row = byDay.get(day);
    return { day, row, value: row === undefined ? 0 : of(row) };
  });
  const highest = values.reduce((best, each) => (each.value > best.value ? each : best));
  return (
    <section className="rounded-xl border border-line bg-surface p-4">
      <div className="mb-3 flex items-center gap-3">
        <h2 className="flex-1 text-sm font-semibold">By day</h2>
        <div role="group" aria-label="What the bars show" className="flex gap-0.5">
          {Object.entries(measures).map(([name, { label }]) => (
            <button
              key={name}
              type="button"
              aria-pressed={measure === name}
              onClick={() => setMeasure(name as keyof typeof measures)}
              className={classNames(
                'rounded-md px-2 py-0.5 text-xs font-medium',
                measure === name ? 'bg-text text-page' : 'text-muted hover:bg-hover',
              )}
            >
              {label}
            </button>
          ))}
        </div>
      </div>
      <div
        role="img"
        aria-label={
          highest.value === 0
            ? `Nothing was used from ${days[0]} to ${days.at(-1)}`
            : `${measures[measure].label} by day from ${days[0]} to ${days.at(-1)}; most on ${highest.day}: ${show(highest.value)}`
        }
        className="flex h-36 items-end gap-px border-b border-line sm:gap-0.5"
      >
        {values.map(({ day, row, value }) => (
          <div
            key={day}
            title={`${day}: ${row === undefined ? 'nothing' : `${amount(tokensOf(row))} tokens, ${costOf(row)}`}`}
            className="flex h-full min-w-0 flex-1 items-end hover:bg-hover"
          >
            <div
              className="w-full rounded-t-sm bg-accent"
              style={{ height: highest.value === 0 ? 0 : `${Math.max(value > 0 ? 1 : 0, (100 * value) / highest.value)}%` }}
            />
          </div>
        ))}
      </div>
      <div aria-hidden className="mt-1 flex justify-between text-xs text-muted">
        <span>{days[0]}</span>
        <span>{highest.value > 0 ? `at most ${show(highest.value)}` : 'nothing was used'}</span>
        <span>{days.at(-1)}</span>
      </div>
    </section>
  );
}
