import { Option, type Command } from 'commander';
import { sessionStatus } from '../../protocol/events.ts';
import type { Session, SessionStatus } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import type { Style } from '../render/style.ts';
import { renderTable } from '../render/table.ts';
import { describeStatus } from '../render/status.ts';
import { formatAge } from '../render/units.ts';

interface LsOptions {
  status?: SessionStatus;
  limit?: string;
  all?: boolean;
}

export function register(program: Command): void {
  program
    .command('ls')
    .summary('list sessions, newest first')
    .description('List sessions, newest first.')
    .addOption(new Option('--status <status>', 'only those').choices(sessionStatus.options))
    .option('-a, --all', 'also those that were archived')
    .option('--limit <count>', 'at most this many', '50')
    .action(
      action<LsOptions>(async (context, { options }) => {
        const client = await context.client();
        const sessions = await client.sessions.list({
          limit: Number(options.limit),
          ...(options.all === true ? {} : { archived: false }),
          ...(options.status === undefined ? {} : { status: options.status }),
        });
        if (context.json) return context.writeJson({ sessions });
        if (sessions.length === 0) return context.notice('No sessions. Make one with: berth run --repo . "..."');
        const now = Date.now();
        context.write(
          renderTable(
            sessions,
            [
              { title: 'SESSION', value: (row) => row.id },
              {
                title: 'STATUS',
                value: (row) => describeStatus(row),
                paint: (text, row) => paintStatus(row.status, context.style)(text),
              },
              { title: 'AGENT', value: (row) => sanitizeLine(row.agent) },
              { title: 'ACTIVE', value: (row) => formatAge(lastActive(row), now) },
              { title: 'TITLE', value: titleOf, shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );
}

/** What tells a session from the others: its title, else what it works on. */
function titleOf(row: Session): string {
  const title = sanitizeLine(row.title);
  if (title !== '') return title;
  return row.repository === null ? '(empty workspace)' : sanitizeLine(row.repository).replace(/^.*\/(?=[^/]+$)/, '');
}

/** Its being put to rest is no activity; of one that is at work the last word is. */
function lastActive({ lastUsedAt, updatedAt, status }: Session): string {
  return ['running', 'asking', 'queued', 'creating'].includes(status) ? updatedAt : lastUsedAt;
}

export function paintStatus(status: SessionStatus, style: Style): (text: string) => string {
  switch (status) {
    case 'running':
    case 'creating':
      return style.green;
    case 'asking':
    case 'queued':
      return style.yellow;
    case 'failed':
      return style.red;
    default:
      return style.dim;
  }
}
