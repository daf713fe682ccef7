import type { Command } from 'commander';
import type { Host } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';

export function register(program: Command): void {
  const hosts = program
    .command('hosts')
    .summary('list the machines that sandboxes live on')
    .description('The machines whose servers share a database, and the sandboxes that live on each.')
    .helpCommand(false)
    .action(action(async (context) => show(context)));

  hosts
    .command('forget')
    .description('Give up a host that will not return. Its sessions start again from their base commit.')
    .argument('<host>', 'host id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        await (await context.client()).hosts.forget(id);
        if (context.json) return context.writeJson({ forgotten: id });
        context.notice(`Host ${id} is forgotten; its sessions start again from their base commit.`);
      }),
    );
}

async function show(context: Parameters<Parameters<typeof action>[0]>[0]): Promise<void> {
  const hosts = await (await context.client()).hosts.list();
  if (context.json) return context.writeJson({ hosts });
  const now = Date.now();
  context.write(
    renderTable(
      hosts,
      [
        { title: 'HOST', value: (row) => `${row.id}${row.own ? ' (this server)' : ''}` },
        { title: 'ADDRESS', value: (row) => sanitizeLine(row.address ?? '-'), shrink: true },
        { title: 'SLOTS', value: (row) => String(row.slots) },
        { title: 'USED', value: (row) => String(row.used) },
        {
          title: 'LEASE',
          value: (row) => leaseOf(row, now),
          paint: (text, row) => (row.live ? context.style.green(text) : context.style.red(text)),
        },
      ],
      context.width,
      context.style,
    ),
  );
}

function leaseOf({ live, leaseUntil }: Host, now: number): string {
  if (live) return 'up';
  return leaseUntil === null ? 'away' : `away since ${formatAge(leaseUntil, now)}`;
}
