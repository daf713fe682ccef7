import type { Command } from 'commander';
import { action } from '../context.ts';
import { withWakeProgress } from '../wake-progress.ts';
import { renderDiffStat, renderPatch } from '../render/diff.ts';

export function register(program: Command): void {
  program
    .command('diff')
    .summary("show a session's changes")
    .description('Show everything a session changed: commits, uncommitted and untracked files. Piped, it is a patch.')
    .argument('<session>', 'session id')
    .option('--stat', 'only which files, and by how much')
    .action(
      action<{ stat?: boolean }>(async (context, { argument: [id = ''], options }) => {
        const client = await context.client();
        const diff = await withWakeProgress(context, client, id, () => client.sessions.diff(id));
        if (context.json) return context.writeJson(diff);
        if (options.stat || diff.files.length === 0) {
          return context.write(renderDiffStat(diff, context.style, context.width));
        }
        // A pipe gets the bytes as they are, so that `git apply` can use them.
        context.write(context.terminal ? renderPatch(diff.patch, context.style) : diff.patch);
        if (diff.truncated) context.notice('The diff is too large to show in full.');
      }),
    );
}
