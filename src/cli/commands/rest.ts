import type { Command } from 'commander';
import { action } from '../context.ts';
import { withWakeProgress } from '../wake-progress.ts';
import { describeStatus } from '../render/status.ts';

const steps = [
  ['pause', 'freeze its processes; memory and slot are kept'],
  ['hibernate', 'put its processes and memory on disk; its slot is free'],
  ['stop', 'end its processes; its disk is kept'],
  ['archive', 'stop it and put it away; ls shows it with --all'],
] as const;

/** Rest by hand; any access wakes a session again. */
export function register(program: Command): void {
  for (const [step, summary] of steps) {
    program
      .command(step)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}. Any use of the session wakes it again.`)
      .argument('<session>', 'session id')
      .action(
        action(async (context, { argument: [id = ''] }) => {
          const session = await (await context.client()).sessions.rest(id, step);
          if (context.json) return context.writeJson(session);
          context.write(`${id} ${describeStatus(session)}\n`);
        }),
      );
  }

  program
    .command('wake')
    .summary('bring its sandbox back now')
    .description('Bring the sandbox of a session back now, rather than with its next use.')
    .argument('<session>', 'session id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        const client = await context.client();
        const session = await withWakeProgress(context, client, id, () => client.sessions.wake(id));
        if (context.json) return context.writeJson(session);
        context.write(`${id} ${describeStatus(session)}\n`);
      }),
    );
}
