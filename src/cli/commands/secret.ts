import type { Command } from 'commander';
import type { SecretView } from '../../protocol/secrets-api.ts';
import { action, type CliContext } from '../context.ts';
import { readSecret } from '../read-secret.ts';
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
    .description('Make or replace a secret. Its value is asked for, or read from standard input; never taken from the command line.')
    .argument('<name>', 'its name')
    .requiredOption('--host <host...>', 'a host that it is sent to: example.org, or example.org:8443')
    .option('--header <name>', 'the header that it goes into', 'Authorization')
    .option('--template <text>', 'what the header says: {value}, or {base64} for it in base64', 'Bearer {value}')
    .option('--team <team>', 'for the sessions of a team')
    .action(
      action<TeamOption & { host: string[]; header: string; template: string }>(
        async (context, { argument: [name = ''], options: { host, header, template, team } }) => {
          const value = await readSecret('Value');
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
        if (context.json) return context.writeJson({ removed: name });
        context.notice(`${sanitizeLine(name)} is removed.`);
      }),
    );
}

function show(context: CliContext, secrets: readonly SecretView[]): void {
  if (context.json) return context.writeJson({ secrets });
  if (secrets.length === 0) return context.notice('No secrets.');
  const now = Date.now();
  const columns = [
    { title: 'NAME', value: (row: SecretView) => sanitizeLine(row.name) },
    { title: 'HOSTS', value: (row: SecretView) => sanitizeLine(row.hosts.join(', ')), shrink: true },
    { title: 'HEADER', value: (row: SecretView) => sanitizeLine(`${row.header}: ${row.template}`) },
    { title: 'CHANGED', value: (row: SecretView) => formatAge(row.updatedAt, now) },
  ];
  context.write(renderTable(secrets, columns, context.width, context.style));
}
