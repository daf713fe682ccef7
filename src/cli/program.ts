import { Command } from 'commander';
import * as allow from './commands/allow.ts';
import * as audit from './commands/audit.ts';
import * as attach from './commands/attach.ts';
import * as budget from './commands/budget.ts';
import * as cp from './commands/cp.ts';
import * as dead from './commands/dead.ts';
import * as deny from './commands/deny.ts';
import * as diff from './commands/diff.ts';
import * as doctor from './commands/doctor.ts';
import * as egress from './commands/egress.ts';
import * as exec from './commands/exec.ts';
import * as fork from './commands/fork.ts';
import * as forward from './commands/forward.ts';
import * as github from './commands/github.ts';
import * as hosts from './commands/hosts.ts';
import * as idle from './commands/idle.ts';
import * as interrupt from './commands/interrupt.ts';
import * as key from './commands/key.ts';
import * as login from './commands/login.ts';
import * as logs from './commands/logs.ts';
import * as ls from './commands/ls.ts';
import * as open from './commands/open.ts';
import * as policy from './commands/policy.ts';
import * as pool from './commands/pool.ts';
import * as preview from './commands/preview.ts';
import * as pr from './commands/pr.ts';
import * as prompt from './commands/prompt.ts';
import * as queue from './commands/queue.ts';
import * as quota from './commands/quota.ts';
import * as rest from './commands/rest.ts';
import * as rm from './commands/rm.ts';
import * as run from './commands/run.ts';
import * as secret from './commands/secret.ts';
import * as shell from './commands/shell.ts';
import * as show from './commands/show.ts';
import * as share from './commands/share.ts';
import * as snapshot from './commands/snapshot.ts';
import * as tasks from './commands/tasks.ts';
import * as usage from './commands/usage.ts';
import * as team from './commands/team.ts';
import * as token from './commands/token.ts';
import * as template from './commands/template.ts';
import * as up from './commands/up.ts';
import * as user from './commands/user.ts';
import * as whoami from './commands/whoami.ts';

/** Commands under the heading where help lists them. */
const groups: Record<string, readonly { register(program: Command): void }[]> = {
  'This machine:': [up, open, doctor, template, audit],
  'Working with agents:': [run, attach, prompt, interrupt, allow, deny, policy],
  'Sessions:': [ls, show, logs, diff, rest, idle, fork, snapshot, rm],
  'The queue:': [queue, pool, dead, hosts],
  'Models:': [usage, budget, key],
  'Inside a sandbox:': [exec, shell, cp, forward, preview, egress, secret],
  'GitHub:': [github, tasks, pr],
  'People:': [login, whoami, share, token, user, team, quota],
};

const notes = `
A server is found by --url and --token, else BERTH_URL and BERTH_TOKEN, else the
file that berth up or berth login writes.

Exit codes: 0 done, 1 failed, 2 bad input, 3 not found, 4 unauthorized,
5 server unavailable, 6 permission refused, 130 interrupted. exec and shell
return the remote command's code.`;

/** The whole command line. Throws `CommanderError` rather than ending the process. */
export function createProgram(options: { json: boolean }): Command {
  const program = new Command('berth')
    .description('Run coding agents in sandboxes that keep their disk, their processes and their conversation.')
    .usage('<command> [options]')
    .option('--json', 'machine-readable output; errors as JSON on stderr')
    .option('--url <address>', 'address of the server')
    .option('--token <token>', 'token for it')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(see berth --help)')
    .addHelpText('after', notes);
  for (const [heading, commands] of Object.entries(groups)) {
    program.commandsGroup(heading);
    for (const command of commands) command.register(program);
  }
  for (const command of [program, ...program.commands, ...program.commands.flatMap((each) => each.commands)]) {
    command.exitOverride();
    if (options.json) command.configureOutput({ writeErr: () => undefined });
  }
  return program;
}
