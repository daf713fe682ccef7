import { Option, type Command } from 'commander';
import { tokenScope, type TokenScope } from '../../protocol/users-api.ts';
import { action } from '../context.ts';
import { parseDuration } from '../parse-duration.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';

interface AddOptions {
  scope: TokenScope[];
  expires?: string;
  user?: string;
}

export function register(program: Command): void {
  const token = program
    .command('token')
    .summary('add, list and revoke tokens')
    .description('Tokens for programs. Each is shown once, when it is made.')
    .helpCommand(false);

  token
    .command('ls')
    .description('List your tokens, newest first.')
    .option('--user <user>', "another user's, as an owner of the installation")
    .action(
      action<{ user?: string }>(async (context, { options: { user } }) => {
        const client = await context.client();
        const tokens = await (user === undefined ? client.tokens.list() : client.users.tokens(user));
        if (context.json) return context.writeJson({ tokens });
        if (tokens.length === 0) return context.notice('No tokens.');
        const now = Date.now();
        context.write(
          renderTable(
            tokens,
            [
              { title: 'TOKEN', value: (row) => row.id },
              { title: 'SCOPES', value: (row) => row.scopes.join(',') },
              { title: 'EXPIRES', value: (row) => row.expiresAt?.slice(0, 10) ?? 'never' },
              { title: 'USED', value: (row) => (row.lastUsedAt === null ? 'never' : formatAge(row.lastUsedAt, now)) },
              { title: 'NAME', value: (row) => sanitizeLine(row.name), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  token
    .command('add')
    .description('Make a token and print it. It is not shown again.')
    .argument('<name>', 'what it is for')
    .addOption(
      new Option('--scope <scope...>', 'what it may be used for; see docs/guides/users.md')
        .choices(tokenScope.options)
        .default(['manage']),
    )
    .option('--expires <time>', 'such as 12h, 30d or never (default: 90d)')
    .option('--user <user>', 'for another user, as an owner of the installation')
    .action(
      action<AddOptions>(async (context, { argument: [name = ''], options: { scope: scopes, expires, user } }) => {
        const client = await context.client();
        const input = {
          name,
          scopes,
          ...(expires === undefined ? {} : { expiresInSeconds: parseDuration(expires, 'expires') }),
        };
        const added = await (user === undefined ? client.tokens.add(input) : client.users.addToken(user, input));
        if (context.json) return context.writeJson(added);
        context.write(`${added.secret}\n`);
        context.notice(`Keep it now: it is not shown again. Revoke it with: berth token rm ${added.token.id}`);
      }),
    );

  token
    .command('rm')
    .description('Revoke a token. What it has open ends at once.')
    .argument('<token>', 'token id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        await (await context.client()).tokens.revoke(id);
        if (context.json) return context.writeJson({ revoked: id });
        context.notice(`${sanitizeLine(id)} is revoked.`);
      }),
    );
}
