import { InvalidArgumentError, type Command } from 'commander';
import type { UsageDimension, UsageReport, UsageRow, UsageTotals } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatCount, plural } from '../render/units.ts';

const dimensions: readonly UsageDimension[] = ['session', 'user', 'turn', 'model', 'day'];

interface UsageOptions {
  by?: UsageDimension[];
  user?: string;
  from?: string;
  to?: string;
}

export function register(program: Command): void {
  program
    .command('usage')
    .summary('show what models used: tokens and cost')
    .description('What models used, read in their answers, and what it cost by the price table of the server.')
    .argument('[session]', 'session id; without it, of all sessions')
    .option('--by <names>', 'what to sum up by: session, user, turn, model, day, with commas', parseDimensions)
    .option('--user <name>', 'of one user')
    .option('--from <day>', 'from this day on, for example 2026-11-01 (UTC)')
    .option('--to <day>', 'up to this day')
    .action(
      action<UsageOptions>(async (context, { argument: [session], options }) => {
        const by = options.by ?? (session === undefined ? ['day', 'model'] : ['turn', 'model']);
        const { user, from, to } = options;
        const report = await (await context.client()).usage.report({
          by,
          ...(session === undefined ? {} : { session }),
          ...(user === undefined ? {} : { user }),
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to }),
        });
        if (context.json) return context.writeJson(report);
        show(context, report, by);
      }),
    );
}

function parseDimensions(value: string): UsageDimension[] {
  return value.split(',').map((each) => {
    const found = dimensions.find((name) => name === each.trim());
    if (found === undefined) throw new InvalidArgumentError(`expected of ${dimensions.join(', ')}.`);
    return found;
  });
}

function show(context: CliContext, { rows, total, unpricedModels }: UsageReport, by: readonly UsageDimension[]): void {
  if (rows.length === 0) return context.notice('Nothing was used.');
  context.write(
    renderTable(
      rows,
      [
        ...by.map((name) => ({
          title: name.toUpperCase(),
          value: (row: UsageRow) => sanitizeLine(row[name] ?? '-'),
          shrink: name === 'model',
        })),
        { title: 'CALLS', value: (row) => formatCount(row.calls) },
        { title: 'IN', value: (row) => formatCount(row.inputTokens) },
        { title: 'OUT', value: (row) => formatCount(row.outputTokens) },
        { title: 'CACHE READ', value: (row) => formatCount(row.cacheReadTokens) },
        { title: 'WRITTEN', value: (row) => formatCount(row.cacheWriteTokens) },
        { title: 'COST', value: describeCost },
      ],
      context.width,
      context.style,
    ),
  );
  context.write(`\n${plural(total.calls, 'call')}, ${describeCost(total)}\n`);
  if (total.estimatedCalls > 0) {
    context.notice(`${plural(total.estimatedCalls, 'call')} did not say what it used: counted by size.`);
  }
  if (unpricedModels.length > 0) {
    context.notice(`No price for ${unpricedModels.map(sanitizeLine).join(', ')}: add it to the file that BERTH_PRICES names.`);
  }
}

/** A part that has no price is said, never shown as nothing. */
function describeCost({ costUsd, pricedCostUsd }: UsageTotals): string {
  if (costUsd !== null) return dollars(costUsd);
  return pricedCostUsd > 0 ? `${dollars(pricedCostUsd)} + ?` : '?';
}

function dollars(amount: number): string {
  return `$${amount.toFixed(amount < 1 ? 4 : 2)}`;
}
