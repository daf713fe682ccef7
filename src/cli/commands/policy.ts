import type { Command } from 'commander';
import type { PermissionPolicyView } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { readPolicyOption } from '../read-policy.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';

export function register(program: Command): void {
  const policy = program
    .command('policy')
    .summary('who answers what an agent asks')
    .description('The rules by which the permission requests of an agent are answered; what none is about, a person is asked.')
    .helpCommand(false);

  policy
    .command('show')
    .description('Show the rules that hold in a session, in the order in which they are looked at.')
    .argument('<session>', 'session id')
    .action(
      action(async (context, { argument: [id = ''] }) =>
        show(context, await (await context.client()).sessions.permissionPolicy(id)),
      ),
    );

  policy
    .command('set')
    .description("Set a session's own rules, or who answers at all. Holds for what is asked from now on.")
    .argument('<session>', 'session id')
    .argument('<policy>', 'policy, ask, allow, none (no rules of its own), or a JSON file of rules')
    .action(
      action(async (context, { argument: [id = '', text = ''] }) => {
        const change = text === 'none' ? { policy: null } : await readPolicyOption(text, 'policy');
        show(context, await (await context.client()).sessions.setPermissionPolicy(id, change));
      }),
    );
}

const said: Record<PermissionPolicyView['mode'], string> = {
  policy: 'by rules, and a person for the rest',
  ask: 'a person is always asked',
  allow: 'the agent does not ask',
};

function show(context: CliContext, view: PermissionPolicyView): void {
  if (context.json) return context.writeJson(view);
  context.write(`${view.mode}: ${said[view.mode]}\n`);
  if (view.mode !== 'policy' || view.rules.length === 0) return;
  context.write('\n');
  context.write(
    renderTable(
      view.rules,
      [
        { title: 'ANSWER', value: (row) => row.answer },
        { title: 'RULE', value: (row) => sanitizeLine(row.name) },
        { title: 'OF', value: (row) => row.from },
        {
          title: 'ABOUT',
          value: (row) => sanitizeLine([row.kinds, row.tools, row.paths, row.commands].flatMap((each) => each ?? []).join(', ') || 'everything'),
          shrink: true,
        },
      ],
      context.width,
      context.style,
    ),
  );
}
