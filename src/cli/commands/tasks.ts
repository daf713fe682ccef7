import type { Command } from 'commander';
import type { Task } from '../../protocol/forge-api.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import type { Style } from '../render/style.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';

export function register(program: Command): void {
  program
    .command('tasks')
    .summary('list tasks, from issue to pull request')
    .description('List tasks, newest first: what came of issues.')
    .action(
      action(async (context) => {
        const client = await context.client();
        const [tasks, repositories] = await Promise.all([client.github.tasks(), client.github.repositories()]);
        if (context.json) return context.writeJson({ tasks });
        if (tasks.length === 0) return context.notice('No tasks. Label an issue, or see docs/guides/github.md.');
        const names = new Map(repositories.map(({ id, owner, name }) => [id, `${owner}/${name}`]));
        const now = Date.now();
        context.write(
          renderTable(
            tasks,
            [
              { title: 'ISSUE', value: (row) => sanitizeLine(`${names.get(row.repositoryId) ?? '?'}#${row.issueNumber}`) },
              { title: 'STATE', value: (row) => row.state, paint: (text, row) => paintState(row.state, context.style)(text) },
              { title: 'PULL', value: (row) => (row.pullNumber === null ? '' : `#${row.pullNumber}`) },
              { title: 'ASKED BY', value: (row) => sanitizeLine(row.askedBy) },
              { title: 'ACTIVE', value: (row) => formatAge(row.updatedAt, now) },
              { title: 'SESSION', value: (row) => sanitizeLine(row.error?.message ?? row.sessionId ?? ''), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );
}

function paintState(state: Task['state'], style: Style): (text: string) => string {
  switch (state) {
    case 'waiting':
      return style.dim;
    case 'failed':
      return style.red;
    default:
      return style.green;
  }
}
