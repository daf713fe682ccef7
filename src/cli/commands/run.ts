import { InvalidArgumentError, type Command } from 'commander';
import type { PromptInput } from '../../sdk/index.ts';
import { resolveConnection } from '../connection.ts';
import { action, type CliContext } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { followTurn } from '../follow-turn.ts';
import { promptFrom } from '../read-text.ts';
import { renderDiffStat, renderPatch } from '../render/diff.ts';
import { parseBytes } from '../render/units.ts';
import { resolveRepository } from '../repository.ts';
import type { EgressPolicy } from '../../protocol/egress.ts';
import type { BudgetLimits } from '../../protocol/budget.ts';
import { budgetLimits } from './budget-option.ts';
import { egressPolicy } from './egress-option.ts';
import { readPolicyOption } from '../read-policy.ts';
import { withAllow, type AllowFlag } from './follow-options.ts';

interface RunOptions extends AllowFlag {
  repo?: string;
  branch?: string;
  agent?: string;
  model?: string;
  mode?: string;
  title?: string;
  template?: string;
  provider?: string;
  env?: Record<string, string>;
  egress?: EgressPolicy;
  permissions?: string;
  budget?: BudgetLimits;
  cpus?: number;
  memory?: number;
  detach?: boolean;
}

/** A patch longer than this is summed up; `berth diff` shows it. */
const maxPatchLines = 200;

export function register(program: Command): void {
  const command = program
    .command('run')
    .summary('make a session, prompt its agent and watch')
    .description('Make a session, prompt its agent, watch it work and see the diff. Ctrl-C interrupts the turn.')
    .argument('[prompt...]', 'what to do; read from standard input when absent or -')
    .option('--repo <url|directory>', 'repository to work on; without it the workspace is empty')
    .option('--branch <name>', "branch to start from (default: the repository's own)")
    .option('--agent <name>', 'claude, codex, gemini, opencode, shell, ... (default: claude)')
    .option('--model <name>', "the agent's model")
    .option('--mode <name>', "the agent's mode, for example plan")
    .option('--title <text>', 'name of the session')
    .option('--template <name>', 'what the sandbox starts from')
    .option('--provider <name>', 'where the sandbox runs')
    .option('--env <name=value>', 'environment of the sandbox, any number of times', collectEnv)
    .option('--egress <list>', 'where it may connect to: none, or of packages, git, open, full and hosts, with commas', egressPolicy)
    .option('--permissions <policy>', 'who answers what it asks: policy, ask, allow, or a JSON file of rules')
    .option('--budget <limits>', 'where it asks before it goes on: usd=5,tokens=2m,turns=20,minutes=90', budgetLimits)
    .option('--cpus <count>', 'limit', positiveNumber)
    .option('--memory <size>', 'limit, for example 2g', byteSize)
    .option('-d, --detach', 'do not watch: print the session and return');
  withAllow(command).action(
    action<RunOptions>(async (context, { argument, options }) => {
      const client = await context.client();
      const text = await promptFrom(argument);
      const input = await inputOf(context, text, options);
      const admission = await client.prompt(input);
      if (options.detach) {
        if (context.json) context.writeJson(admission);
        else context.write(`${admission.sessionId}\n`);
        context.notice(`Watch it with: berth attach ${admission.sessionId}`);
        return exitCode.ok;
      }
      const { sessionId, turnId } = admission;
      const { cwd } = await client.sessions.get(sessionId);
      const code = await followTurn(context, client, { sessionId, turnId, from: 0, allow: options.allow, cwd });
      if (!context.json) {
        await showDiff(context, sessionId);
        context.notice(context.style.dim(`\nGo on with: berth attach ${sessionId}`));
      }
      return code;
    }),
  );
}

async function inputOf(context: CliContext, prompt: string, options: RunOptions): Promise<PromptInput> {
  const input: PromptInput = { prompt };
  if (options.repo !== undefined) {
    const { url } = await resolveConnection(context.flags, process.env);
    const repository = await resolveRepository(options.repo, url);
    input.repository = repository.url;
    if (repository.uncommitted) context.notice('Note: uncommitted changes are not part of the session.');
  }
  for (const name of ['branch', 'agent', 'model', 'mode', 'title', 'template', 'provider', 'env', 'egress', 'budget'] as const) {
    if (options[name] !== undefined) Object.assign(input, { [name]: options[name] });
  }
  if (options.permissions !== undefined) {
    const { mode, policy } = await readPolicyOption(options.permissions, 'permissions');
    Object.assign(input, { permissions: mode, ...(policy === undefined ? {} : { permissionPolicy: policy }) });
  }
  if (options.cpus !== undefined || options.memory !== undefined) {
    input.limits = {
      ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
      ...(options.memory === undefined ? {} : { memoryBytes: options.memory }),
    };
  }
  return input;
}

/** The turn's own end decides the exit code: a diff that cannot be had is only mentioned. */
async function showDiff(context: CliContext, sessionId: string): Promise<void> {
  const client = await context.client();
  try {
    const diff = await client.sessions.diff(sessionId);
    context.write(`\n${renderDiffStat(diff, context.style, context.width)}`);
    if (diff.patch === '') return;
    if (diff.patch.split('\n').length <= maxPatchLines) context.write(`\n${renderPatch(diff.patch, context.style)}`);
    else context.notice(`See it all with: berth diff ${sessionId}`);
  } catch (error) {
    context.notice(`no diff: ${(error as Error).message}`);
  }
}

function collectEnv(value: string, before: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('expected NAME=value.');
  return { ...before, [value.slice(0, at)]: value.slice(at + 1) };
}

function positiveNumber(value: string): number {
  const number = Number(value);
  if (!(number > 0)) throw new InvalidArgumentError('expected a number above 0.');
  return number;
}

function byteSize(value: string): number {
  const bytes = parseBytes(value);
  if (bytes === null) throw new InvalidArgumentError('expected a size such as 512m or 2g.');
  return bytes;
}
