import type { Command } from 'commander';
import { action } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { reportFailure } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge, formatBytes } from '../render/units.ts';

export function register(program: Command): void {
  const snapshot = program
    .command('snapshot')
    .summary('keep, list and delete copies of sessions')
    .description('Named, immutable copies of sessions, from which others are made with: berth fork --snapshot <name>')
    .helpCommand(false);

  snapshot
    .command('create')
    .description('Keep a copy of a session as it is now. The session goes on.')
    .argument('<session>', 'session id')
    .argument('<name>', 'a name for it, unique among yours')
    .option('--memory', 'with its processes, where the provider can')
    .action(
      action<{ memory?: boolean }>(async (context, { argument: [id = '', name = ''], options }) => {
        const client = await context.client();
        const made = await client.snapshots.create(id, { name, ...(options.memory === true ? { memory: true } : {}) });
        if (context.json) return context.writeJson(made);
        context.write(`${made.id}\n`);
        context.notice(`Make a session from it with: berth fork --snapshot ${sanitizeLine(made.name)}`);
      }),
    );

  snapshot
    .command('ls')
    .description('List them, newest first.')
    .option('--session <session>', 'only those of a session')
    .action(
      action<{ session?: string }>(async (context, { options }) => {
        const client = await context.client();
        const snapshots = await client.snapshots.list(
          options.session === undefined ? {} : { session: options.session },
        );
        if (context.json) return context.writeJson({ snapshots });
        if (snapshots.length === 0) return context.notice('No snapshots.');
        const now = Date.now();
        context.write(
          renderTable(
            snapshots,
            [
              { title: 'NAME', value: (row) => sanitizeLine(row.name) },
              { title: 'SESSION', value: (row) => row.sessionId },
              { title: 'KEEPS', value: (row) => (row.memory ? 'disk and memory' : 'disk') },
              { title: 'SIZE', value: (row) => (row.sizeBytes === null ? '-' : formatBytes(row.sizeBytes)) },
              { title: 'MADE', value: (row) => formatAge(row.createdAt, now) },
              { title: 'OF', value: (row) => sanitizeLine(row.title), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  snapshot
    .command('rm')
    .description('Delete snapshots. Sessions made from them are not touched.')
    .argument('<snapshot...>', 'names or ids')
    .action(
      action(async (context, { argument: names }) => {
        const client = await context.client();
        let code: number = exitCode.ok;
        const deleted: string[] = [];
        for (const name of names) {
          try {
            await client.snapshots.delete(name);
            deleted.push(name);
            if (!context.json) context.write(`${sanitizeLine(name)}\n`);
          } catch (error) {
            // The others are still deleted; the first failure gives the exit code.
            const failed = reportFailure(error, context.json);
            if (code === exitCode.ok) code = failed;
          }
        }
        if (context.json) context.writeJson({ deleted });
        return code;
      }),
    );
}
