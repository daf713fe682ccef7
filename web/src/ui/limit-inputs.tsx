import type { BudgetLimits } from '../../../src/sdk/index.ts';
import { Input } from './field.tsx';

export const limitMeasures = ['tokens', 'usd', 'turns', 'minutes'] as const;
export type LimitMeasure = (typeof limitMeasures)[number];
export const limitLabels: Record<LimitMeasure, string> = {
  tokens: 'Tokens',
  usd: 'Dollars',
  turns: 'Turns',
  minutes: 'Minutes',
};

/** Limits as they are typed; empty is none. */
export type LimitDraft = Partial<Record<LimitMeasure, string>>;

export function draftOf(limits: BudgetLimits | null | undefined): LimitDraft {
  return Object.fromEntries(Object.entries(limits ?? {}).map(([measure, value]) => [measure, String(value)]));
}

/** `undefined` when nothing is limited. What is no number is left to the server to refuse. */
export function limitsOf(draft: LimitDraft): BudgetLimits | undefined {
  const given = Object.entries(draft).filter(([, text]) => text.trim() !== '');
  return given.length === 0 ? undefined : Object.fromEntries(given.map(([measure, text]) => [measure, Number(text)]));
}

export function LimitInputs({
  label,
  value,
  defaults,
  onChange,
}: {
  label: string;
  value: LimitDraft;
  /** What holds where nothing is typed. */
  defaults?: BudgetLimits | undefined;
  onChange: (value: LimitDraft) => void;
}) {
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">{label}</legend>
      <div className="grid grid-cols-2 gap-2 sm:grid-cols-4">
        {limitMeasures.map((measure) => (
          <label key={measure} className="block">
            <span className="text-xs text-muted">{limitLabels[measure]}</span>
            <Input
              type="number"
              min={0}
              step="any"
              aria-label={`${label}: ${limitLabels[measure].toLowerCase()}`}
              placeholder={defaults?.[measure] === undefined ? 'no limit' : String(defaults[measure])}
              value={value[measure] ?? ''}
              onChange={(event) => onChange({ ...value, [measure]: event.target.value })}
            />
          </label>
        ))}
      </div>
    </fieldset>
  );
}
