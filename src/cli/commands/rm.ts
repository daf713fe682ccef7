import type { Command } from 'commander';
import { action } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { reportFailure } from '../failure.ts';

export function register(program: Command): void {
  program
    .command('rm')
    .summary('delete sessions with their sandboxes')
    .description('Delete sessions: their sandboxes, files and logs. There is no way back.')
    .argument('<session...>', 'session ids')
    .action(
      action(async (context, { argument: ids }) => {
        const client = await context.client();
        let code: number = exitCode.ok;
        const deleted: string[] = [];
        for (const id of ids) {
          try {
            await client.sessions.delete(id);
            deleted.push(id);
            if (!context.json) context.write(`${id}\n`);
          } catch (error) {
            // The others are still deleted; the first failure gives the exit code.
            const failed = reportFailure(error, context.json);
            if (code === exitCode.ok) code = failed;
          }
        }
        if (context.json) context.writeJson({ deleted });
        return code;
      }),
    );
}
