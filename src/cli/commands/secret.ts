import type { Command } from 'commander';
import type { SecretView } from '../../protocol/secrets-api.ts';
import { action, type CliContext } from '../context.ts';
import { usageError } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge } from '../render/units.ts';

interface TeamOption {
  team?: string;
}

export function register(program: Command): void {
  const secret = program
    .command('secret')
    .summary('credentials for services that agents call')
    .description('Credentials that the gateway puts into requests to the hosts they are for. No sandbox sees them, and no value is ever shown.')
    .helpCommand(false);

  secret
    .command('ls')
    .description('List secrets, without their values.')
    .option('--team <team>', 'those of a team')
    .action(
      action<TeamOption>(async (context, { options: { team } }) => show(context, await (await context.client()).secrets.list({ team }))),
    );

  secret
    .command('set')
    .description('Make or replace a secret. Its value is read from standard input.')
    .argument('<name>', 'its name')
    .requiredOption('--host <host...>', 'a host that it is sent to: example.org, or example.org:8443')
    .option('--header <name>', 'the header that it goes into', 'Authorization')
    .option('--template <text>', 'what the header says: {value}, or {base64} for it in base64', 'Bearer {value}')
    .option('--team <team>', 'for the sessions of a team')
    .action(
      action<TeamOption & { host: string[]; header: string; template: string }>(
        async (context, { argument: [name = ''], options: { host, header, template, team } }) => {
          const value = await readValue();
          const view = await (await context.client()).secrets.set(name, { hosts: host, header, template, value }, { team });
          show(context, [view]);
        },
      ),
    );

  secret
    .command('rm')
    .description('Delete a secret.')
    .argument('<name>', 'its name')
    .option('--team <team>', 'of a team')
    .action(
      action<TeamOption>(async (context, { argument: [name = ''], options: { team } }) => {
        await (await context.client()).secrets.remove(name, { team });
      }),
    );
}

/** Not from the command line, which other programs of the machine can read. */
async function readValue(): Promise<string> {
  if (process.stdin.isTTY) throw usageError('pipe the value in: it would stay in the history of the shell', 'value');
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const value = Buffer.concat(chunks).toString('utf8').replace(/\r?\n$/, '');
  if (value === '') throw usageError('the value is empty', 'value');
  return value;
}

function show(context: CliContext, secrets: readonly SecretView[]): void {
  if (context.json) return context.writeJson({ secrets });
  if (secrets.length === 0) return context.write('no secrets\n');
  const now = Date.now();
  const columns = [
    { title: 'NAME', value: (row: SecretView) => sanitizeLine(row.name) },
    { title: 'HOSTS', value: (row: SecretView) => sanitizeLine(row.hosts.join(', ')), shrink: true },
    { title: 'HEADER', value: (row: SecretView) => sanitizeLine(`${row.header}: ${row.template}`) },
    { title: 'CHANGED', value: (row: SecretView) => formatAge(row.updatedAt, now) },
  ];
  context.write(renderTable(secrets, columns, context.width, context.style));
}
