import type { Command } from 'commander';
import type { PoolOverview } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { formatDuration, plural } from '../render/units.ts';

export function register(program: Command): void {
  program
    .command('pool')
    .summary('show slots and warm sandboxes')
    .description(
      'Show how many slots are used, which sandboxes are kept warm, and how the pool has done since the server started.',
    )
    .action(
      action(async (context) => {
        const overview = await (await context.client()).pool();
        if (context.json) return context.writeJson(overview);
        const rows = rowsOf(overview);
        const width = Math.max(...rows.map(([name]) => name.length));
        for (const [name, text] of rows) context.write(`${context.style.dim(name.padEnd(width))}  ${text}\n`);
      }),
    );
}

function rowsOf(pool: PoolOverview): [string, string][] {
  const { warm, claims, estimate } = pool;
  const states = Object.entries(pool.sandboxes).map(([status, count]) => `${count} ${sanitizeLine(status)}`);
  const making = warm.making > 0 ? `, ${warm.making} in the making` : '';
  const held = warm.held === null ? '' : `; held back: ${sanitizeLine(warm.held)}`;
  const error = estimate.meanAbsoluteErrorSeconds;
  return [
    ['slots', `${pool.used} of ${pool.slots} used, ${plural(pool.waiting, 'turn')} waiting`],
    ['warm', `${warm.ready} of ${warm.wanted} ready${making}${held}`],
    ['started', `${claims.warm} from warm, ${claims.cold} made when needed`],
    ['evicted', plural(pool.evictions, 'sandbox', 'sandboxes')],
    ['sandboxes', states.length === 0 ? 'none' : states.join(', ')],
    [
      'estimates',
      error === null ? 'none given yet' : `${formatDuration(error * 1000)} off, by ${plural(estimate.count, 'turn')}`,
    ],
  ];
}
