import type { Command } from 'commander';
import { action } from '../context.ts';

interface InterruptOptions {
  turn?: string;
}

export function register(program: Command): void {
  program
    .command('interrupt')
    .summary("end a session's running and queued turns")
    .description("End a session's running turn and cancel its queued ones. The session stays.")
    .argument('<session>', 'session id')
    .option('--turn <id>', 'only this turn, waiting or running')
    .action(
      action<InterruptOptions>(async (context, { argument: [id = ''], options }) => {
        const client = await context.client();
        if (options.turn !== undefined) {
          const turn = await client.sessions.cancelTurn(id, options.turn);
          if (context.json) return context.writeJson(turn);
          context.write(turn.endedAt === null ? `interrupted ${turn.id}\n` : `${turn.id} has ${turn.state}\n`);
          return;
        }
        const result = await client.sessions.interrupt(id);
        if (context.json) return context.writeJson(result);
        context.write(result.interrupted === null ? 'no turn was running\n' : `interrupted ${result.interrupted}\n`);
      }),
    );
}
