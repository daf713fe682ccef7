import { Option, type Command } from 'commander';
import { teamRole, type TeamRole } from '../../protocol/users-api.ts';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';

export function register(program: Command): void {
  const team = program
    .command('team')
    .summary('add, list and change teams')
    .description('Teams. Their members share what belongs to the team: a member prompts and answers, a viewer looks.')
    .helpCommand(false);

  team
    .command('ls')
    .description('List the teams that you are in; as an owner of the installation, all.')
    .action(
      action(async (context) => {
        const teams = await (await context.client()).teams.list();
        if (context.json) return context.writeJson({ teams });
        if (teams.length === 0) return context.notice('No teams.');
        const membersOf = (row: (typeof teams)[number]) =>
          row.members.map(({ user, role }) => (role === 'member' ? user : `${user} (${role})`)).join(', ');
        context.write(
          renderTable(
            teams,
            [
              { title: 'TEAM', value: (row) => row.name },
              { title: 'NAME', value: (row) => sanitizeLine(row.displayName) },
              { title: 'MEMBERS', value: (row) => sanitizeLine(membersOf(row)), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  team
    .command('add')
    .description('Make a team. You are its first owner.')
    .argument('<team>', 'small letters, digits, ".", "_" and "-"')
    .option('--name <name>', 'what people call it')
    .action(
      action<{ name?: string }>(async (context, { argument: [name = ''], options }) => {
        const displayName = options.name;
        const made = await (await context.client()).teams.add({
          name,
          ...(displayName === undefined ? {} : { displayName }),
        });
        if (context.json) return context.writeJson(made);
        context.notice(`Add members with: berth team member ${made.name} <user>`);
      }),
    );

  team
    .command('rm')
    .description('Remove a team. Its sessions stay with their owners.')
    .argument('<team>', 'the team')
    .action(
      action(async (context, { argument: [name = ''] }) => {
        await (await context.client()).teams.remove(name);
        if (context.json) return context.writeJson({ removed: name });
        context.notice(`${sanitizeLine(name)} is removed.`);
      }),
    );

  team
    .command('member')
    .description('Add a member to a team, give one another role, or take one out.')
    .argument('<team>', 'the team')
    .argument('<user>', 'the user')
    .addOption(new Option('--role <role>', 'what the member may').choices(teamRole.options).default('member'))
    .option('--remove', 'take the user out of the team')
    .action(
      action<{ role: TeamRole; remove?: boolean }>(async (context, { argument: [name = '', user = ''], options }) => {
        const { teams } = await context.client();
        if (options.remove === true) {
          await teams.removeMember(name, user);
          if (context.json) return context.writeJson({ removed: user, team: name });
          return context.notice(`${sanitizeLine(user)} is out of ${sanitizeLine(name)}.`);
        }
        const changed = await teams.setMember(name, user, options.role);
        if (context.json) return context.writeJson(changed);
        context.notice(`${sanitizeLine(user)} is ${options.role} of ${changed.name}.`);
      }),
    );
}
