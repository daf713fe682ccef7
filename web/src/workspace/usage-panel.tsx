import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { BudgetState, Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { amount, costOf, dollars, tokensOf } from '../usage/amounts.ts';
import { modelUsageQuery, sessionBudgetQuery } from '../queries.ts';
import { useMay } from '../sessions/use-may.ts';
import { Button } from '../ui/button.tsx';
import { draftOf, LimitInputs, limitsOf, type LimitDraft } from '../ui/limit-inputs.tsx';
import { Meter } from '../ui/meter.tsx';
import { Failure, Loading } from '../ui/states.tsx';
import { toast } from '../ui/toasts.tsx';
import { useSubmit } from '../ui/use-submit.ts';

const scopeNames: Record<BudgetState['scope'], string> = {
  session: 'this session',
  user: 'all sessions of its user',
  day: 'its user today',
};
const measures: Record<BudgetState['measure'], { label: string; show: (value: number) => string }> = {
  tokens: { label: 'Tokens', show: amount },
  usd: { label: 'Dollars', show: dollars },
  turns: { label: 'Turns', show: String },
  minutes: { label: 'Minutes of work', show: (value) => String(Number(value.toFixed(1))) },
  unpriced: { label: 'Calls without a price', show: String },
};

/** What models used in this session, and how near its limits are. */
export function UsagePanel({ session }: { session: Session }) {
  const usage = useQuery(modelUsageQuery({ by: ['model'], session: session.id }));
  const budget = useQuery(sessionBudgetQuery(session.id));
  const mayChange = useMay(session.id)('session:manage');
  return (
    <div className="h-full space-y-6 overflow-y-auto p-4">
      <section className="space-y-3.5">
        <h2 className="text-sm font-semibold">Budget</h2>
        {budget.isPending && <Loading />}
        {budget.isError && <Failure error={budget.error} onRetry={() => void budget.refetch()} />}
        {budget.data?.requestId != null && (
          <p className="rounded-lg bg-warn-soft px-3 py-2 text-sm text-warn">
            A limit is reached. The conversation asks whether to raise it.
          </p>
        )}
        {budget.data?.limits.length === 0 && <p className="text-sm text-muted">Nothing limits it.</p>}
        {budget.data?.limits.map((state) => {
          const { label, show } = measures[state.measure];
          return (
            <Meter
              key={`${state.scope} ${state.measure}`}
              label={`${label}, ${scopeNames[state.scope]}`}
              used={state.used}
              limit={state.limit}
              format={show}
            />
          );
        })}
        {budget.data !== undefined && mayChange && <OwnLimits key={JSON.stringify(budget.data.own)} session={session} own={budget.data.own} />}
      </section>
      <section>
        <h2 className="mb-2 text-sm font-semibold">Models</h2>
        {usage.isPending && <Loading />}
        {usage.isError && <Failure error={usage.error} onRetry={() => void usage.refetch()} />}
        {usage.data?.rows.length === 0 && <p className="text-sm text-muted">No model was called.</p>}
        <ul className="space-y-2">
          {usage.data?.rows.map((row) => (
            <li key={row.model} className="rounded-lg border border-line bg-surface px-3 py-2 text-[0.9rem]">
              <p className="flex gap-3">
                <span className="min-w-0 flex-1 truncate font-medium">{sanitizeLine(row.model ?? '')}</span>
                <span>{costOf(row)}</span>
              </p>
              <p className="text-xs text-muted">
                {row.calls} {row.calls === 1 ? 'call' : 'calls'} · {amount(tokensOf(row))} tokens, of them{' '}
                {amount(row.outputTokens)} out and {amount(row.cacheReadTokens)} from the cache
              </p>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}

function OwnLimits({ session, own }: { session: Session; own: Session['budget'] }) {
  const queries = useQueryClient();
  const submit = useSubmit();
  const [draft, setDraft] = useState<LimitDraft>(draftOf(own));
  async function save(): Promise<void> {
    await client.sessions.update(session.id, { budget: limitsOf(draft) ?? null });
    await queries.invalidateQueries({ queryKey: sessionBudgetQuery(session.id).queryKey });
    toast('The limits are saved');
  }
  return (
    <form
      aria-label="Limits of this session"
      className="space-y-2"
      onSubmit={(event) => {
        event.preventDefault();
        submit.run(save);
      }}
    >
      <LimitInputs label="This session's own limits" value={draft} onChange={setDraft} />
      {submit.failure !== null && <Failure error={submit.failure} />}
      <Button size="small" type="submit" disabled={submit.busy}>
        Save limits
      </Button>
    </form>
  );
}
