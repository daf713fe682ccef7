import { Option, type Command } from 'commander';
import type { CreateTurnInput } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { followTurn } from '../follow-turn.ts';
import { promptFrom } from '../read-text.ts';
import { withAllow, type AllowFlag } from './follow-options.ts';

interface PromptOptions extends AllowFlag {
  detach?: boolean;
  priority?: NonNullable<CreateTurnInput['priority']>;
  key?: string;
}

export function register(program: Command): void {
  const command = program
    .command('prompt')
    .summary('prompt an existing session and watch')
    .description('Prompt an existing session and watch the turn. Ctrl-C interrupts it.')
    .argument('<session>', 'session id')
    .argument('[prompt...]', 'what to do; read from standard input when absent or -')
    .addOption(new Option('--priority <level>', 'place in the queue').choices(['premium', 'normal', 'background']))
    .option('--key <text>', 'idempotency key: the same key makes one turn, however often it is sent')
    .option('-d, --detach', 'do not watch: print the turn and return');
  withAllow(command).action(
    action<PromptOptions>(async (context, { argument, options }) => {
      const [sessionId = '', ...words] = argument;
      const client = await context.client();
      const text = await promptFrom(words);
      const { cwd, lastSeq } = await client.sessions.get(sessionId);
      const admission = await client.sessions.prompt(sessionId, {
        prompt: text,
        ...(options.priority === undefined ? {} : { priority: options.priority }),
        ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      });
      const { turnId } = admission;
      if (options.detach) {
        if (context.json) context.writeJson(admission);
        else context.write(`${turnId}\n`);
        return exitCode.ok;
      }
      // Under a key that was used before, the turn may lie further back than the log's end.
      const known = await client.sessions.turn(sessionId, turnId);
      const from = known.endedAt === null ? lastSeq : 0;
      return followTurn(context, client, { sessionId, turnId, from, allow: options.allow, cwd });
    }),
  );
}
