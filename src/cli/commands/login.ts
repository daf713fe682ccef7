import { hostname, userInfo } from 'node:os';
import { Option, type Command } from 'commander';
import { tokenScope, type TokenScope } from '../../protocol/users-api.ts';
import { createBerthClient, type BerthClient } from '../../sdk/index.ts';
import { configPath, readConfig, writeConfig } from '../config-file.ts';
import { isLocal } from '../connection.ts';
import { action, type CliContext } from '../context.ts';
import { awaitGrant } from '../await-grant.ts';
import { usageError } from '../failure.ts';
import { sanitizeLine } from '../render/sanitize.ts';

export function register(program: Command): void {
  program
    .command('login')
    .summary('sign in to a server, by its web page')
    .description(
      'Show a code, wait until somebody who is signed in on the web page has typed it, and keep the token that this gives for the other commands.',
    )
    .argument('<url>', 'address of the server')
    .addOption(
      new Option('--scope <scope...>', 'what the token may be used for; see docs/guides/users.md')
        .choices(tokenScope.options)
        .default(['manage']),
    )
    .action(
      action<{ scope: TokenScope[] }>(async (context, { argument: [address = ''], options: { scope: scopes } }) => {
        const url = checkedUrl(address);
        if (url.startsWith('http:') && !isLocal(url)) {
          context.notice('This address is not https: who can read the network can read the token too.');
        }
        const client = createBerthClient({ baseUrl: url, token: null });
        const start = await client.devices.begin({ client: deviceName(), scopes });
        if (context.json) context.writeJson({ url: start.completeUrl, userCode: start.userCode, expiresAt: start.expiresAt }, 'line');
        const { style } = context;
        context.notice(
          [
            `Open  ${style.cyan(sanitizeLine(start.completeUrl))}`,
            `and check that it shows the code  ${style.bold(sanitizeLine(start.userCode))}`,
            style.dim('Waiting; Ctrl-C gives up.'),
          ].join('\n'),
        );
        const { secret, token } = await awaitGrant(client, start);
        await keep(url, secret);
        if (context.json) return context.writeJson({ url, user: token.user, scopes: token.scopes, expiresAt: token.expiresAt }, 'line');
        const until = token.expiresAt === null ? '' : ` until ${token.expiresAt.slice(0, 10)}`;
        context.notice(`${style.green('✔')} Signed in to ${url} as ${sanitizeLine(token.user)}${until}. berth logout ends it.`);
      }),
    );

  program
    .command('logout')
    .summary('end the token that berth login keeps')
    .description('Revoke the token that berth login keeps, and forget it.')
    .action(action((context) => logout(context)));
}

/** Replaces what an earlier sign-in left, and ends that one's token. */
async function keep(url: string, token: string): Promise<void> {
  const path = configPath(process.env);
  const before = await readConfig(path).catch(() => null);
  await writeConfig(path, { url, token, by: 'login' });
  if (before?.by !== 'login') return;
  // Its server may be gone for good.
  await end(createBerthClient({ baseUrl: before.url, token: before.token })).catch(() => {});
}

async function logout(context: CliContext): Promise<void> {
  const path = configPath(process.env);
  const kept = await readConfig(path);
  if (kept?.by !== 'login') {
    const why = kept === null ? 'nobody is signed in' : 'the token kept here is not of berth login';
    if (context.json) return context.writeJson({ revoked: false });
    return context.notice(`Nothing was changed: ${why}.`);
  }
  // Forgotten first: whatever the server answers, this machine has it no more.
  await writeConfig(path, null);
  await end(createBerthClient({ baseUrl: kept.url, token: kept.token }));
  if (context.json) return context.writeJson({ revoked: true });
  context.notice(`Signed out of ${kept.url}.`);
}

async function end(client: BerthClient): Promise<void> {
  try {
    await client.devices.signOut();
  } catch (error) {
    // It was revoked before, or is over.
    if ((error as { code?: unknown }).code !== 'unauthorized') throw error;
  }
}

function checkedUrl(address: string): string {
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
    throw usageError(`"${address}" is not an address such as https://berth.example.org`, 'url');
  }
  return address.replace(/\/+$/, '');
}

/** What the page shows: who, on which machine. */
function deviceName(): string {
  return `${userInfo().username}@${hostname()}`.slice(0, 100);
}
