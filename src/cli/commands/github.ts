import type { Command } from 'commander';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';

interface GithubOptions {
  setup?: boolean;
  replace?: boolean;
}

export function register(program: Command): void {
  program
    .command('github')
    .summary('show the GitHub App, or make the link that registers one')
    .description('Show the GitHub App and where it is installed. With --setup: a link to open in a browser, good for an hour.')
    .option('--setup', 'make the link that registers an App')
    .option('--replace', 'with --setup: replace the App that is there')
    .action(
      action<GithubOptions>(async (context, { options }) => {
        const client = await context.client();
        if (options.setup === true) {
          const link = await client.github.setupLink({ replace: options.replace ?? false });
          return context.json ? context.writeJson(link) : context.write(`${link.url}\n`);
        }
        const status = await client.github.status();
        if (context.json) return context.writeJson(status);
        if (status.app === null) return context.notice('No GitHub App. Register one with: berth github --setup');
        const { style } = context;
        const lines = [`${style.bold(sanitizeLine(status.app.name))}  ${sanitizeLine(status.app.htmlUrl)}`];
        if (status.problem !== null) lines.push(style.red(sanitizeLine(status.problem)));
        for (const { account, suspended } of status.installations ?? []) {
          lines.push(`  ${sanitizeLine(account)}${suspended ? style.yellow(' suspended') : ''}`);
        }
        if (status.installations?.length === 0) lines.push(`  not installed yet: ${sanitizeLine(status.app.installUrl)}`);
        context.write(`${lines.join('\n')}\n`);
      }),
    );
}
