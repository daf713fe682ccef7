import type { Command } from 'commander';
import { action } from '../context.ts';
import { usageError } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';

interface ForkOptions {
  snapshot?: string;
  count: string;
}

export function register(program: Command): void {
  program
    .command('fork')
    .summary('make sessions that begin where another stands')
    .description(
      'Make sessions that begin where another stands, or where a snapshot was taken: each with a disk and a branch of ' +
        'its own, and the conversation so far. The source goes on.',
    )
    .argument('[session]', 'session id')
    .option('--snapshot <snapshot>', 'begin from this snapshot, by name or id')
    .option('-n, --count <count>', 'how many', '1')
    .action(
      action<ForkOptions>(async (context, { argument: [id], options }) => {
        const count = Number(options.count);
        if (!Number.isInteger(count) || count < 1) throw usageError('--count: a whole number from 1 on', 'count');
        const { snapshot } = options;
        if ((id === undefined) === (snapshot === undefined))
          throw usageError('name a session, or a --snapshot', 'session');
        const client = await context.client();
        const made =
          snapshot === undefined
            ? await client.sessions.fork(id as string, { count })
            : await client.snapshots.fork(snapshot, { count });
        if (context.json) return context.writeJson({ sessions: made });
        for (const session of made) {
          context.write(`${session.id}\n`);
          if (session.branch !== null) context.notice(`  on branch ${sanitizeLine(session.branch)}`);
        }
      }),
    );
}
