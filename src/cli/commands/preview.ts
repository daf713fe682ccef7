import type { Command } from 'commander';
import { action } from '../context.ts';
import { usageError } from '../failure.ts';

export function register(program: Command): void {
  program
    .command('preview')
    .summary('print a link that shows what listens on a port')
    .description('Print a link that shows what listens on a port of a session to the browser that follows it. The sandbox is woken for it.')
    .argument('<session>', 'session id')
    .argument('<port>', 'a port from 1 to 65535')
    .action(
      action(async (context, { argument: [id = '', text = ''] }) => {
        const port = Number(text);
        if (!Number.isInteger(port) || port < 1 || port > 65_535) throw usageError('a port is an integer from 1 to 65535', 'port');
        const link = await (await context.client()).sessions.preview(id, port);
        if (context.json) return context.writeJson(link);
        context.write(`${link.url}\n`);
      }),
    );
}
