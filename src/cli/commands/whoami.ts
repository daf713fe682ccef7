import type { Command } from 'commander';
import { action } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';

export function register(program: Command): void {
  program
    .command('whoami')
    .summary('show who you are, and what you may')
    .description('The user whose token is used, his role and teams, and the scopes of the token.')
    .action(
      action(async (context) => {
        const client = await context.client();
        const me = await client.me();
        if (context.json) return context.writeJson(me);
        const teams = me.teams.map(({ team, role }) => `${team} (${role})`).join(', ') || 'none';
        context.write(
          [
            `server  ${sanitizeLine(client.baseUrl)}`,
            `user    ${sanitizeLine(me.user)} (${sanitizeLine(me.displayName)})`,
            `role    ${me.role}`,
            `scopes  ${me.scopes.join(', ')}`,
            `teams   ${sanitizeLine(teams)}`,
            '',
          ].join('\n'),
        );
      }),
    );
}
