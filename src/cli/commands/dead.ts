import type { Command } from 'commander';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';

interface LsOptions {
  session?: string;
  all?: boolean;
  limit?: string;
}

export function register(program: Command): void {
  const dead = program
    .command('dead')
    .summary('list and replay turns that the platform failed')
    .description('Turns that the platform failed, after its retries. Each is named by its turn.')
    .helpCommand(false);

  dead
    .command('ls')
    .description('List them, newest first.')
    .option('--session <session>', 'only those of a session')
    .option('--all', 'also those that were replayed')
    .option('--limit <count>', 'at most this many', '50')
    .action(
      action<LsOptions>(async (context, { options }) => {
        const client = await context.client();
        const deadLetters = await client.deadLetters.list({
          waiting: options.all !== true,
          limit: Number(options.limit),
          ...(options.session === undefined ? {} : { session: options.session }),
        });
        if (context.json) return context.writeJson({ deadLetters });
        if (deadLetters.length === 0) return context.notice('No dead letters.');
        const now = Date.now();
        context.write(
          renderTable(
            deadLetters,
            [
              { title: 'TURN', value: (row) => row.turnId },
              { title: 'FAILED', value: (row) => formatAge(row.failedAt, now) },
              { title: 'TRIES', value: (row) => String(row.attempts) },
              { title: 'CODE', value: (row) => sanitizeLine(row.code) },
              { title: 'REPLAYED', value: (row) => row.replayTurnId ?? '-' },
              { title: 'WHY', value: (row) => sanitizeLine(row.message), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  dead
    .command('replay')
    .description('Prompt again what a failed turn was asked, in its session. Replaying twice makes one turn.')
    .argument('<turn>', 'the turn that failed')
    .action(
      action(async (context, { argument: [turnId = ''] }) => {
        const admission = await (await context.client()).deadLetters.replay(turnId);
        if (context.json) return context.writeJson(admission);
        context.write(`${admission.turnId}\n`);
        context.notice(`${sanitizeLine(admission.message)}; watch it with: berth attach ${admission.sessionId}`);
      }),
    );
}
