import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { UserBudget, UserBudgetView } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { userBudgetQuery, usersQuery } from '../../queries.ts';
import { Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { draftOf, LimitInputs, limitsOf, type LimitDraft } from '../../ui/limit-inputs.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { toast } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';

const scopes = [
  ['session', 'Each session'],
  ['user', 'All sessions together'],
  ['day', 'All sessions in a day (UTC)'],
] as const;
type Scope = (typeof scopes)[number][0];

export function UserBudgets() {
  const users = useQuery(usersQuery);
  const [chosen, setChosen] = useState<string | null>(null);
  const user = chosen ?? users.data?.[0]?.handle;
  const budget = useQuery({ ...userBudgetQuery(user ?? ''), enabled: user !== undefined });
  return (
    <section className="space-y-3">
      <div className="flex flex-wrap items-center gap-3">
        <h2 className="flex-1 font-semibold">Budgets of users</h2>
        <Select
          aria-label="Whose budget"
          className="!w-44"
          value={user ?? ''}
          onChange={(event) => setChosen(event.target.value)}
        >
          {(users.data ?? []).map((each) => (
            <option key={each.handle}>{each.handle}</option>
          ))}
        </Select>
      </div>
      <p className="text-sm text-muted">Where a limit is reached, the turn stops and asks. Grey figures are the server's own.</p>
      {budget.isPending && <Loading />}
      {budget.isError && <Failure error={budget.error} onRetry={() => void budget.refetch()} />}
      {budget.data !== undefined && <Edit key={budget.data.user} view={budget.data} />}
    </section>
  );
}

function Edit({ view: { user, budget, serverDefault } }: { view: UserBudgetView }) {
  const queries = useQueryClient();
  const submit = useSubmit();
  const [drafts, setDrafts] = useState<Record<Scope, LimitDraft>>({
    session: draftOf(budget?.session),
    user: draftOf(budget?.user),
    day: draftOf(budget?.day),
  });
  async function save(): Promise<void> {
    const next: UserBudget = {};
    for (const [scope] of scopes) {
      const limits = limitsOf(drafts[scope]);
      if (limits !== undefined) next[scope] = limits;
    }
    await client.budgets.setOfUser(user, Object.keys(next).length === 0 ? null : next);
    await queries.invalidateQueries({ queryKey: userBudgetQuery(user).queryKey });
    toast(`The budget of ${user} is saved`);
  }
  return (
    <FormCard title={`Budget of ${user}`} action="Save budget" submit={submit} onSubmit={save}>
      {scopes.map(([scope, label]) => (
        <LimitInputs
          key={scope}
          label={label}
          value={drafts[scope]}
          defaults={serverDefault[scope]}
          onChange={(draft) => setDrafts({ ...drafts, [scope]: draft })}
        />
      ))}
    </FormCard>
  );
}
