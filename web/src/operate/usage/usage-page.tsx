import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { UsageReport, UsageRow } from '../../../../src/sdk/index.ts';
import { meQuery, modelUsageQuery } from '../../queries.ts';
import { Select } from '../../ui/field.tsx';
import { Page } from '../../ui/page.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { Table } from '../table.tsx';
import { amount, costOf, lastDays, tokensOf } from '../../usage/amounts.ts';
import { Days } from './days.tsx';
import { UserBudgets } from './user-budgets.tsx';

const spans = [7, 30, 90] as const;

export function UsagePage() {
  const me = useQuery(meQuery);
  const [span, setSpan] = useState<number>(30);
  const days = lastDays(span);
  const from = days[0]!;
  const byDay = useQuery(modelUsageQuery({ by: ['day'], from }));
  const byModel = useQuery(modelUsageQuery({ by: ['model'], from }));
  const byUser = useQuery(modelUsageQuery({ by: ['user'], from }));
  const isOwner = me.data?.role === 'owner';
  return (
    <Page
      title="Usage"
      about={isOwner ? 'What models used, of everybody.' : 'What models used in your sessions.'}
      actions={
        <Select
          aria-label="How far back"
          className="!w-36"
          value={span}
          onChange={(event) => setSpan(Number(event.target.value))}
        >
          {spans.map((each) => (
            <option key={each} value={each}>
              {each} days
            </option>
          ))}
        </Select>
      }
    >
      <div className="space-y-6">
        {byDay.isPending && <Loading />}
        {byDay.isError && <Failure error={byDay.error} onRetry={() => void byDay.refetch()} />}
        {byDay.data !== undefined && (
          <>
            <Totals report={byDay.data} />
            <Days days={days} rows={byDay.data.rows} />
            <Unknown report={byDay.data} />
          </>
        )}
        {byModel.data !== undefined && <Sums title="By model" rows={byModel.data.rows} nameOf={(row) => row.model ?? ''} />}
        {byUser.data !== undefined && <Sums title="By user" rows={byUser.data.rows} nameOf={(row) => row.user ?? ''} />}
        {isOwner && <UserBudgets />}
      </div>
    </Page>
  );
}

function Totals({ report: { total } }: { report: UsageReport }) {
  const figures = [
    ['Cost', costOf(total)],
    ['Tokens', amount(tokensOf(total))],
    ['Calls', amount(total.calls)],
  ] as const;
  return (
    <dl className="grid grid-cols-3 gap-3">
      {figures.map(([label, value]) => (
        <div key={label} className="rounded-xl border border-line bg-surface px-4 py-3">
          <dt className="text-xs text-muted">{label}</dt>
          <dd className="mt-0.5 text-lg font-semibold max-sm:text-base">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Unknown({ report: { unpricedModels, total } }: { report: UsageReport }) {
  return (
    <>
      {unpricedModels.length > 0 && (
        <p className="rounded-lg bg-warn-soft px-3.5 py-2.5 text-sm text-warn">
          The price table does not know {unpricedModels.map(sanitizeLine).join(', ')}: {total.unpricedCalls}{' '}
          {total.unpricedCalls === 1 ? 'call is' : 'calls are'} in no sum of dollars.
        </p>
      )}
      {total.estimatedCalls > 0 && (
        <p className="text-sm text-muted">
          {total.estimatedCalls} {total.estimatedCalls === 1 ? 'call' : 'calls'} did not say what was used; counted by size.
        </p>
      )}
    </>
  );
}

function Sums({ title, rows, nameOf }: { title: string; rows: readonly UsageRow[]; nameOf: (row: UsageRow) => string }) {
  return (
    <section>
      <h2 className="mb-2 font-semibold">{title}</h2>
      {rows.length === 0 ? (
        <p className="text-sm text-muted">No model was called.</p>
      ) : (
        <Table label={title} head={[title.slice(3), 'Calls', 'In', 'Out', 'From cache', 'To cache', 'Cost']}>
          {rows.map((row) => (
            <tr key={nameOf(row)}>
              <td className="font-medium">{sanitizeLine(nameOf(row))}</td>
              <td>{amount(row.calls)}</td>
              <td>{amount(row.inputTokens)}</td>
              <td>{amount(row.outputTokens)}</td>
              <td>{amount(row.cacheReadTokens)}</td>
              <td>{amount(row.cacheWriteTokens)}</td>
              <td className="whitespace-nowrap">{costOf(row)}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}
