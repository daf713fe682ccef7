import { Option, type Command } from 'commander';
import { userRole, type UserRole } from '../../protocol/users-api.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';

export function register(program: Command): void {
  const user = program
    .command('user')
    .summary('add, list and change users')
    .description('The accounts of the installation. An owner may do everything; a member has sessions; a viewer looks.')
    .helpCommand(false);

  user
    .command('ls')
    .description('List the users.')
    .action(
      action(async (context) => {
        const users = await (await context.client()).users.list();
        if (context.json) return context.writeJson({ users });
        const now = Date.now();
        context.write(
          renderTable(
            users,
            [
              { title: 'USER', value: (row) => row.handle },
              { title: 'ROLE', value: (row) => row.role },
              { title: 'STATE', value: (row) => (row.disabledAt === null ? 'active' : 'disabled') },
              { title: 'ADDED', value: (row) => formatAge(row.createdAt, now) },
              { title: 'NAME', value: (row) => sanitizeLine(row.displayName), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  user
    .command('add')
    .description('Add a user, and print a link that signs one browser in as that user, once.')
    .argument('<handle>', 'small letters, digits, ".", "_" and "-"')
    .option('--name <name>', 'the name of the person')
    .addOption(new Option('--role <role>', 'what the user may').choices(userRole.options).default('member'))
    .action(
      action<{ name?: string; role: UserRole }>(async (context, { argument: [handle = ''], options }) => {
        const client = await context.client();
        const added = await client.users.add({
          handle,
          role: options.role,
          ...(options.name === undefined ? {} : { displayName: options.name }),
        });
        if (context.json) return context.writeJson(added);
        context.write(`${added.signIn.url}\n`);
        context.notice(`Send ${handle} this link: it signs one browser in, once, within a day.`);
      }),
    );

  user
    .command('link')
    .description('Print another link that signs one browser in as the user, once.')
    .argument('<handle>', 'the user')
    .action(
      action(async (context, { argument: [handle = ''] }) => {
        const link = await (await context.client()).users.signInLink(handle);
        if (context.json) return context.writeJson(link);
        context.write(`${link.url}\n`);
      }),
    );

  user
    .command('role')
    .description('Give a user another role.')
    .argument('<handle>', 'the user')
    .argument('<role>', userRole.options.join(', '))
    .action(
      action(async (context, { argument: [handle = '', role = ''] }) => {
        // The server names the roles there are.
        const changed = await (await context.client()).users.change(handle, { role: role as UserRole });
        if (context.json) return context.writeJson(changed);
        context.notice(`${changed.handle} is ${changed.role} now.`);
      }),
    );

  for (const [name, disabled, said] of [
    ['disable', true, 'is disabled; what was open has ended'],
    ['enable', false, 'may sign in again'],
  ] as const) {
    user
      .command(name)
      .description(disabled ? 'Shut a user out at once. Sessions are kept.' : 'Let a disabled user in again.')
      .argument('<handle>', 'the user')
      .action(
        action(async (context, { argument: [handle = ''] }) => {
          const changed = await (await context.client()).users.change(handle, { disabled });
          if (context.json) return context.writeJson(changed);
          context.notice(`${changed.handle} ${said}.`);
        }),
      );
  }

  user
    .command('rm')
    .description('Remove a user who has no sessions and no snapshots.')
    .argument('<handle>', 'the user')
    .action(
      action(async (context, { argument: [handle = ''] }) => {
        await (await context.client()).users.remove(handle);
        if (context.json) return context.writeJson({ removed: handle });
        context.notice(`${sanitizeLine(handle)} is removed.`);
      }),
    );
}
