import type { Command } from 'commander';
import type { EgressPolicy, EgressView } from '../../protocol/egress.ts';
import { action, type CliContext } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';
import { egressPolicy } from './egress-option.ts';

export function register(program: Command): void {
  const egress = program
    .command('egress')
    .summary('show and change where a session may connect to')
    .description('Where a session may connect to, and what was decided. A change holds from the next connection on.')
    .helpCommand(false);

  egress
    .command('show')
    .description('Show the policy and the decisions, latest first.')
    .argument('<session>', 'session id')
    .action(
      action(async (context, { argument: [id = ''] }) => show(context, await (await context.client()).egress.get(id))),
    );

  egress
    .command('allow')
    .description('Let a session reach one more host.')
    .argument('<session>', 'session id')
    .argument('<host>', 'a host such as example.org, *.example.org or example.org:8443')
    .action(
      action(async (context, { argument: [id = '', rule = ''] }) =>
        show(context, await (await context.client()).egress.allow(id, rule)),
      ),
    );

  egress
    .command('set')
    .description('Replace the policy of a session.')
    .argument('<session>', 'session id')
    .argument('<list>', 'none, default, or of packages, git, open, full and hosts, with commas')
    .action(
      action(async (context, { argument: [id = '', list = ''] }) => {
        const policy: EgressPolicy | null = list === 'default' ? null : egressPolicy(list);
        show(context, await (await context.client()).egress.set(id, policy));
      }),
    );
}

function show(context: CliContext, view: EgressView): void {
  if (context.json) return context.writeJson(view);
  const { policy, isDefault, decisions } = view;
  const list = [...policy.presets, ...policy.allow].join(', ') || 'nothing';
  context.write(`may reach ${sanitizeLine(list)}${isDefault ? context.style.dim(' (the default)') : ''}\n`);
  if (decisions.length === 0) return;
  const now = Date.now();
  context.write('\n');
  context.write(
    renderTable(
      decisions,
      [
        { title: 'HOST', value: (row) => sanitizeLine(`${row.host}:${row.port}`), shrink: true },
        { title: 'ANSWER', value: (row) => (row.allowed ? 'allowed' : 'refused') },
        { title: 'TIMES', value: (row) => String(row.count) },
        { title: 'LAST', value: (row) => formatAge(row.lastAt, now) },
        { title: 'BY', value: (row) => sanitizeLine(row.reason) },
      ],
      context.width,
      context.style,
    ),
  );
}
