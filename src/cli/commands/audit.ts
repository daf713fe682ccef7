import { InvalidArgumentError, type Command } from 'commander';
import type { AuditEntry } from '../../protocol/audit.ts';
import type { AuditQuery } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import { parseDuration } from '../parse-duration.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { plural } from '../render/units.ts';

interface FilterOptions {
  session?: string;
  actor?: string;
  action?: string;
  since?: string;
  until?: string;
}

export function register(program: Command): void {
  const audit = withFilters(
    program
      .command('audit')
      .summary('who did what')
      .description('The audit log, newest first: who did what. It outlives the sessions that it tells of.')
      .helpCommand(false),
  )
    .option('--limit <count>', 'how many', wholeNumber, 50)
    .action(
      action<FilterOptions & { limit: number }>(async (context, { options }) => {
        const client = await context.client();
        const page = await client.audit.list({ ...queryOf(options), limit: options.limit });
        if (context.json) return context.writeJson(page);
        if (page.entries.length === 0) return context.notice('No entries.');
        show(context, page.entries);
      }),
    );

  withFilters(
    audit.command('export').description('Write all entries, oldest first, one JSON document a line; with their hashes.'),
  ).action(
    action<FilterOptions>(async (context, { options }) => {
      const client = await context.client();
      for await (const entry of client.audit.export(queryOf(options))) context.writeJson(entry, 'line');
    }),
  );

  audit
    .command('verify')
    .description(
      'Check that every entry is as it was written. Keep the head that it prints where the server cannot reach: ' +
        'given again as --head, it also finds that the end of the log was cut off.',
    )
    .option('--head <hash>', 'a head that was printed before, which the log must still have')
    .action(
      action<{ head?: string }>(async (context, { options }) => {
        const verdict = await (await context.client()).audit.verify(options.head);
        if (context.json) context.writeJson(verdict);
        else if (verdict.broken === null) {
          context.write(`intact: ${plural(verdict.entries, 'entry', 'entries')}, head ${verdict.head.hash}\n`);
        } else {
          context.write(`${context.style.red('broken')}: ${sanitizeLine(verdict.broken.message)}\n`);
        }
        return verdict.intact ? exitCode.ok : exitCode.failed;
      }),
    );
}

function withFilters(command: Command): Command {
  return command
    .option('--session <id>', 'of one session')
    .option('--actor <actor>', 'by one actor: user:<name>, session:<id>, server')
    .option('--action <action>', 'of one action, or all of a kind: session.*')
    .option('--since <time>', 'from a time on: 2h, 7d, or ISO 8601')
    .option('--until <time>', 'before a time');
}

function queryOf({ session, actor, action: what, since, until }: FilterOptions): AuditQuery {
  return { session, actor, action: what, since: timeOf(since, 'since'), until: timeOf(until, 'until') };
}

function timeOf(text: string | undefined, option: string): string | undefined {
  if (text === undefined) return undefined;
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() - (parseDuration(text, option) ?? 0) * 1000).toISOString();
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw usageError(`--${option}: a time such as 2h, 7d or 2026-01-31T12:00:00Z; not "${text}"`, option);
  return time.toISOString();
}

function show(context: CliContext, entries: readonly AuditEntry[]): void {
  context.write(
    renderTable(
      entries,
      [
        { title: 'SEQ', value: (row) => String(row.seq) },
        { title: 'AT', value: (row) => row.at.slice(0, 19).replace('T', ' ') },
        { title: 'WHO', value: (row) => sanitizeLine(row.actor) },
        { title: 'WHAT', value: (row) => sanitizeLine(row.action) },
        { title: 'TO', value: (row) => sanitizeLine(row.target ?? '-') },
        { title: 'DETAIL', value: (row) => sanitizeLine(detailOf(row.detail)), shrink: true },
      ],
      context.width,
      context.style,
    ),
  );
}

function detailOf(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

function wholeNumber(value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new InvalidArgumentError('expected a whole number, 1 or above.');
  return Number(value);
}
