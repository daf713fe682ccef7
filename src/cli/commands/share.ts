import type { Command } from 'commander';
import type { Share, ShareRight } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { usageError } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';

interface ShareOptions {
  team?: boolean;
  view?: boolean;
  prompt?: boolean;
  answer?: boolean;
}

const rightsOf = ({ view, prompt, answer }: ShareOptions): ShareRight[] => [
  ...(view === true ? (['view'] as const) : []),
  ...(prompt === true ? (['prompt'] as const) : []),
  ...(answer === true ? (['answer'] as const) : []),
];

const subjectOf = (name: string, { team }: ShareOptions): Share['subject'] => ({
  kind: team === true ? 'team' : 'user',
  name,
});

export function register(program: Command): void {
  program
    .command('share')
    .summary('share a session, or show with whom it is shared')
    .description('Let a user, or a team, look at a session, prompt it, or answer what its agent asks.')
    .argument('<session>', 'session id')
    .argument('[subject]', 'a user, or with --team a team; without it the shares are listed')
    .option('--team', 'the subject is a team')
    .option('--view', 'may look')
    .option('--prompt', 'may prompt it, and work in its sandbox')
    .option('--answer', 'may answer what its agent asks')
    .action(
      action<ShareOptions>(async (context, { argument: [id = '', name], options }) => {
        const { shares } = await context.client();
        if (name !== undefined) {
          const rights = rightsOf(options);
          if (rights.length === 0) throw usageError('say what is shared: --view, --prompt or --answer', 'view');
          const made = await shares.set(id, subjectOf(name, options), rights);
          if (context.json) return context.writeJson(made);
          return context.notice(`The ${made.subject.kind} ${made.subject.name} may ${made.rights.join(', ')}.`);
        }
        const list = await shares.list(id);
        if (context.json) return context.writeJson({ shares: list });
        if (list.length === 0) return context.notice('Shared with nobody.');
        context.write(
          renderTable(
            list,
            [
              { title: 'WITH', value: (row) => `${row.subject.kind} ${row.subject.name}` },
              { title: 'MAY', value: (row) => row.rights.join(', ') },
              { title: 'BY', value: (row) => sanitizeLine(row.by) },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  program
    .command('unshare')
    .summary('take back what was shared')
    .description('Share a session no more. What the other has open of it ends at once.')
    .argument('<session>', 'session id')
    .argument('<subject>', 'a user, or with --team a team')
    .option('--team', 'the subject is a team')
    .action(
      action<ShareOptions>(async (context, { argument: [id = '', name = ''], options }) => {
        const subject = subjectOf(name, options);
        await (await context.client()).shares.remove(id, subject);
        if (context.json) return context.writeJson({ unshared: subject });
        context.notice(`Not shared with the ${subject.kind} ${sanitizeLine(name)} any more.`);
      }),
    );
}
