import type { Command } from 'commander';
import { action } from '../context.ts';

export function register(program: Command): void {
  program
    .command('interrupt')
    .summary("end a session's running and queued turns")
    .description("End a session's running turn and cancel its queued ones. The session stays.")
    .argument('<session>', 'session id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        const client = await context.client();
        const result = await client.sessions.interrupt(id);
        if (context.json) return context.writeJson(result);
        context.write(result.interrupted === null ? 'no turn was running\n' : `interrupted ${result.interrupted}\n`);
      }),
    );
}
