import type { Command } from 'commander';
import { action } from '../context.ts';

export function register(program: Command): void {
  program
    .command('open')
    .summary('print a link that signs a browser in')
    .description('Print a link to the web pages that signs one browser in as you, once, within the hour.')
    .action(
      action(async (context) => {
        const client = await context.client();
        const link = await client.loginLink();
        if (context.json) return context.writeJson(link);
        context.write(`${link.url}\n`);
      }),
    );
}
