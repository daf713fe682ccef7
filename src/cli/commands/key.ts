import { Option, type Command } from 'commander';
import type { CreateKeyInput, ModelKeyView } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { usageError } from '../failure.ts';
import { readSecret } from '../read-secret.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { plural } from '../render/units.ts';

interface AddOptions {
  api: CreateKeyInput['api'];
  team?: string;
  server?: boolean;
  baseUrl?: string;
  oauth?: boolean;
  tokenUrl?: string;
  clientId?: string;
}

export function register(program: Command): void {
  const key = program
    .command('key')
    .summary('credentials for models')
    .description('Credentials for models, kept sealed on the server. The nearest one serves: your own, your team\'s, the server\'s.')
    .helpCommand(false);

  key
    .command('ls')
    .description('List the keys that you may use. What is secret in them is never shown.')
    .action(
      action(async (context) => {
        const keys = await (await context.client()).keys.list();
        if (context.json) return context.writeJson({ keys });
        if (keys.length === 0) return context.notice('No keys.');
        context.write(
          renderTable(
            keys,
            [
              { title: 'ID', value: (row: ModelKeyView) => row.id },
              { title: 'NAME', value: (row) => sanitizeLine(row.name), shrink: true },
              { title: 'API', value: (row) => row.api },
              { title: 'FOR', value: (row) => sanitizeLine(row.subject === null ? 'all' : `${row.scope} ${row.subject}`) },
              { title: 'KIND', value: (row) => (row.kind === 'api_key' ? 'API key' : row.renews ? 'token, renewed' : 'token') },
              { title: 'AT', value: (row) => sanitizeLine(row.baseUrl ?? ''), shrink: true },
            ],
            context.width,
            context.style,
          ),
        );
      }),
    );

  key
    .command('add')
    .description('Keep a key. Its secret is asked for, or read from standard input; never taken from the command line.')
    .argument('<name>', 'name of it; the one named default serves first')
    .addOption(new Option('--api <api>', 'whose').choices(['anthropic', 'openai', 'gemini']).makeOptionMandatory())
    .option('--team <name>', 'for the sessions of a team')
    .option('--server', 'for all sessions')
    .option('--base-url <url>', "where calls go (default: the API's own address)")
    .option('--oauth', 'a token of a subscription: the secret is {"accessToken", "refreshToken"?, "expiresAt"?} as JSON, or an access token')
    .option('--token-url <url>', 'where the server renews the token')
    .option('--client-id <id>', 'sent along when it is renewed')
    .action(
      action<AddOptions>(async (context, { argument: [name = ''], options }) => {
        const { api, team, server, baseUrl, oauth } = options;
        if (team !== undefined && server === true) throw usageError('--team and --server exclude each other', 'server');
        const text = await readSecret(oauth === true ? 'Token' : 'API key');
        const created = await (await context.client()).keys.create({
          name,
          api,
          scope: server === true ? 'server' : team === undefined ? 'user' : 'team',
          ...(team === undefined ? {} : { team }),
          ...(baseUrl === undefined ? {} : { baseUrl }),
          secret: oauth === true ? tokenOf(text, options) : { apiKey: text },
        });
        if (context.json) return context.writeJson(created);
        context.write(`${created.id}\n`);
      }),
    );

  key
    .command('rm')
    .description('Delete a key. Calls that are under way end; later ones use the next nearest.')
    .argument('<key>', 'its id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        await (await context.client()).keys.delete(id);
        if (context.json) return context.writeJson({ removed: id });
        context.notice(`${sanitizeLine(id)} is removed.`);
      }),
    );

  key
    .command('rotate')
    .description('Seal every stored secret with a new data key, wrapped by the key or service that is configured first. May be stopped and run again.')
    .action(
      action(async (context) => {
        const done = await (await context.client()).keys.rotate();
        if (context.json) return context.writeJson(done);
        context.write(`${plural(done.resealed, 'secret')} sealed with ${done.keyId}\n`);
        if (done.kept > 0) context.notice(`${plural(done.kept, 'earlier data key')} kept until other servers have let go: the next rotation removes what is unused.`);
      }),
    );
}

function tokenOf(text: string, { tokenUrl, clientId }: AddOptions): CreateKeyInput['secret'] {
  const more = { ...(tokenUrl === undefined ? {} : { tokenUrl }), ...(clientId === undefined ? {} : { clientId }) };
  if (!text.startsWith('{')) return { accessToken: text, ...more };
  try {
    const { accessToken, refreshToken, expiresAt } = JSON.parse(text) as Record<string, string>;
    return {
      accessToken: accessToken ?? '',
      ...(refreshToken === undefined ? {} : { refreshToken }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...more,
    };
  } catch {
    throw usageError('the token is neither JSON nor an access token', 'secret');
  }
}
