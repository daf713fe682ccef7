import type { Command } from 'commander';
import type { QueueOverview } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatDuration, plural } from '../render/units.ts';

export function register(program: Command): void {
  program
    .command('queue')
    .summary('show who waits for a slot')
    .description('Show the slots, and the turns that wait, in the order in which they are expected to start.')
    .action(
      action(async (context) => {
        const overview = await (await context.client()).queue();
        if (context.json) return context.writeJson(overview);
        context.write(`${summaryOf(overview)}\n`);
        if (overview.queued.length === 0) return;
        context.write('\n');
        context.write(
          renderTable(
            overview.queued,
            [
              { title: 'PLACE', value: (row) => String(row.position) },
              { title: 'TURN', value: (row) => row.turnId },
              { title: 'OWNER', value: (row) => sanitizeLine(row.owner), shrink: true },
              { title: 'PRIORITY', value: (row) => row.priority },
              { title: 'WAITED', value: (row) => formatDuration(row.waitedSeconds * 1000) },
              {
                title: 'STARTS',
                value: (row) =>
                  startOf(row),
              },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );
}

function summaryOf({ slots, running, queued, estimate }: QueueOverview): string {
  const error =
    estimate.meanAbsoluteErrorSeconds === null
      ? ''
      : `; estimates were ${formatDuration(estimate.meanAbsoluteErrorSeconds * 1000)} off, by ${plural(estimate.count, 'turn')}`;
  return `${running} of ${plural(slots, 'slot')} busy, ${queued.length} waiting${error}`;
}

function startOf({ away, position, estimatedWaitSeconds, quota }: QueueOverview['queued'][number]): string {
  if (away !== null) return `when ${away} is back`;
  if (position === 0) return 'now';
  const full = quota === null ? '' : ` (${sanitizeLine(quota.name)}: all ${quota.slots} of the quota)`;
  return `in ${formatDuration(estimatedWaitSeconds * 1000)}${full}`;
}
