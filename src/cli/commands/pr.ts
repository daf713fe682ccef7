import type { Command } from 'commander';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { withWakeProgress } from '../wake-progress.ts';

interface PullOptions {
  title?: string;
  body?: string;
  base?: string;
}

export function register(program: Command): void {
  program
    .command('pr')
    .summary("open a session's pull request")
    .description(
      "Commit what the agent left, push the session's branch and open its pull request. " +
        'Where one is open already it gets what is new, and its address is printed.',
    )
    .argument('<session>', 'session id')
    .option('--title <title>', "default: the session's title")
    .option('--body <text>', 'default: who made it')
    .option('--base <branch>', 'the branch to bring it into; default: the one that the session started from')
    .action(
      action<PullOptions>(async (context, { argument: [id = ''], options }) => {
        const { title, body, base } = options;
        const client = await context.client();
        const pull = await withWakeProgress(context, client, id, () =>
          client.sessions.openPullRequest(id, {
            ...(title === undefined ? {} : { title }),
            ...(body === undefined ? {} : { body }),
            ...(base === undefined ? {} : { base }),
          }),
        );
        if (context.json) return context.writeJson(pull);
        context.write(`${sanitizeLine(pull.url)}\n`);
        context.notice(`Pull request #${pull.number} ${pull.opened ? 'opened' : 'was open'}, at ${pull.sha.slice(0, 12)}.`);
      }),
    );
}
