import type { Command } from 'commander';
import type { BudgetLimits, BudgetState, SessionBudgetView, UserBudget, UserBudgetView } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { usageError } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { budgetLimits } from './budget-option.ts';

interface UserOptions {
  session?: BudgetLimits;
  user?: BudgetLimits;
  day?: BudgetLimits;
  reset?: boolean;
}

const form = 'usd=5,tokens=2m,turns=20,minutes=90';

export function register(program: Command): void {
  const budget = program
    .command('budget')
    .summary('limit what sessions and users use')
    .description('Limits on tokens, dollars, turns and minutes of work. Where one is reached the session asks, and waits for the answer.')
    .helpCommand(false);

  budget
    .command('show')
    .description('Show the limits that hold for a session, and what was used.')
    .argument('<session>', 'session id')
    .action(
      action(async (context, { argument: [id = ''] }) =>
        showSession(context, await (await context.client()).budgets.ofSession(id)),
      ),
    );

  budget
    .command('set')
    .description('Replace the limits that a session has of its own. A call that waits for one goes on where it allows.')
    .argument('<session>', 'session id')
    .argument('<limits>', `${form}; none: its user's and the server's alone`)
    .action(
      action(async (context, { argument: [id = '', limits = ''] }) => {
        const client = await context.client();
        await client.sessions.update(id, { budget: limits === 'none' ? null : budgetLimits(limits) });
        showSession(context, await client.budgets.ofSession(id));
      }),
    );

  budget
    .command('user')
    .description("Show or set a user's limits. What is not named keeps its value.")
    .argument('<user>', 'name of the user')
    .option('--session <limits>', `of each of their sessions: ${form}`, budgetLimits)
    .option('--user <limits>', 'of all their sessions together', budgetLimits)
    .option('--day <limits>', 'of all their sessions in one day (UTC)', budgetLimits)
    .option('--reset', "the server's limits alone")
    .action(
      action<UserOptions>(async (context, { argument: [user = ''], options }) => {
        const client = await context.client();
        const { reset, ...rest } = options;
        const given: UserBudget = Object.fromEntries(
          (['session', 'user', 'day'] as const).flatMap((scope) => (rest[scope] === undefined ? [] : [[scope, rest[scope]]])),
        );
        let view = await client.budgets.ofUser(user);
        if (Object.keys(given).length > 0) {
          if (reset === true) throw usageError('--reset goes alone', 'reset');
          view = await client.budgets.setOfUser(user, { ...view.budget, ...given });
        } else if (reset === true) view = await client.budgets.setOfUser(user, null);
        showUser(context, view);
      }),
    );
}

const scopeNames = { session: 'this session', user: 'its user', day: 'its user today' } as const;

function showSession(context: CliContext, view: SessionBudgetView): void {
  if (context.json) return context.writeJson(view);
  if (view.limits.length === 0) return context.notice('No limits.');
  const shown = view.limits.filter((each) => each.measure !== 'unpriced' || each.used > 0);
  context.write(
    renderTable(
      shown,
      [
        { title: 'LIMIT OF', value: (row: BudgetState) => scopeNames[row.scope] },
        { title: 'ON', value: (row) => (row.measure === 'unpriced' ? 'calls without a price' : row.measure) },
        { title: 'USED', value: (row) => String(Number(row.used.toFixed(4))) },
        { title: 'OF', value: (row) => String(Number(row.limit.toFixed(4))) },
        { title: '', value: (row) => (row.reached ? 'reached' : '') },
      ],
      context.width,
      context.style,
    ),
  );
  if (view.requestId !== null) context.notice(`It waits for an answer: ${view.requestId}`);
}

function showUser(context: CliContext, view: UserBudgetView): void {
  if (context.json) return context.writeJson(view);
  const lines = (['session', 'user', 'day'] as const).map((scope) => {
    const own = describe(view.budget?.[scope]);
    const server = describe(view.serverDefault[scope]);
    return `${scope.padEnd(8)} ${own ?? server ?? 'no limit'}${own === null && server !== null ? " (the server's)" : ''}`;
  });
  context.write(`${sanitizeLine(view.user)}\n${lines.join('\n')}\n`);
}

function describe(limits: BudgetLimits | undefined): string | null {
  const entries = Object.entries(limits ?? {});
  return entries.length === 0 ? null : entries.map(([name, value]) => `${name}=${value}`).join(',');
}
