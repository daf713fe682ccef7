import type { Command } from 'commander';
import { z } from 'zod';
import { parseQuota, type Quota, type QuotaView } from '../../protocol/quota.ts';
import type { QuotaSubject } from '../../protocol/quota-subject.ts';
import { action, type CliContext } from '../context.ts';
import { usageError } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';

const form = 'slots=3,sessions=20,disk=200g,priority=normal';

export function register(program: Command): void {
  const group = program
    .command('quota')
    .summary('limit how much users and teams may have')
    .description('Slots, priority, sessions and disk of users, and of the sessions of teams. Work beyond the slots waits; what is beyond the rest is refused.')
    .helpCommand(false);

  group
    .command('show')
    .description('Show a quota, and what of it is used.')
    .argument('[name]', 'user, or team; default: yourself')
    .option('--team', 'the name is of a team')
    .action(
      action<{ team?: boolean }>(async (context, { argument: [name], options: { team } }) => {
        const { quotas } = await context.client();
        if (name === undefined && team === true) throw usageError('--team needs a name', 'name');
        show(context, await (name === undefined ? quotas.own() : quotas.of(subjectOf(name, team))));
      }),
    );

  group
    .command('set')
    .description('Replace the quota that a user or team has of its own. Sandboxes that are awake stay awake.')
    .argument('<name>', 'user, or team')
    .argument('<quota>', `${form}; none: the server's alone`)
    .option('--team', 'the name is of a team')
    .action(
      action<{ team?: boolean }>(async (context, { argument: [name = '', text = ''], options: { team } }) => {
        const quota = text === 'none' ? null : readQuota(text);
        show(context, await (await context.client()).quotas.set(subjectOf(name, team), quota));
      }),
    );
}

function subjectOf(name: string, team: boolean | undefined): QuotaSubject {
  return { kind: team === true ? 'team' : 'user', name };
}

function readQuota(text: string): Quota {
  try {
    return parseQuota(text);
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    throw usageError(issue === undefined ? String((error as Error).message) : `${issue.path.join('.')}: ${issue.message}`, 'quota');
  }
}

const measures = ['slots', 'sessions', 'diskBytes', 'priority'] as const;

function show(context: CliContext, view: QuotaView): void {
  if (context.json) return context.writeJson(view);
  const holds: Quota = { ...view.serverDefault, ...view.quota };
  context.write(`${view.subject.kind} ${sanitizeLine(view.subject.name)}\n`);
  context.write(
    renderTable(
      [...measures],
      [
        { title: 'QUOTA', value: (name) => (name === 'diskBytes' ? 'disk' : name) },
        { title: 'USED', value: (name) => (name === 'priority' ? '' : shown(name, view.used[name])) },
        { title: 'OF', value: (name) => shown(name, holds[name]) },
        { title: '', value: (name) => (view.quota?.[name] === undefined && holds[name] !== undefined ? "the server's" : '') },
      ],
      context.width,
      context.style,
    ),
  );
}

function shown(name: (typeof measures)[number], value: number | string | undefined): string {
  if (value === undefined) return 'no limit';
  return name === 'diskBytes' ? `${Number((Number(value) / 1024 ** 3).toFixed(1))} GiB` : String(value);
}
