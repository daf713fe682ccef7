import { InvalidArgumentError, type Command } from 'commander';
import type { SessionEvent } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { renderLogLine } from '../render/log-line.ts';

interface LogsOptions {
  follow?: boolean;
  from: number;
}

export function register(program: Command): void {
  program
    .command('logs')
    .summary("print a session's event log")
    .description("Print a session's event log, one event per line; with --json in full.")
    .argument('<session>', 'session id')
    .option('-f, --follow', 'go on with new events until Ctrl-C')
    .option('--from <seq>', 'events after this number', sequenceNumber, 0)
    .action(
      action<LogsOptions>(async (context, { argument: [id = ''], options }) => {
        const client = await context.client();
        const show = (event: SessionEvent): void => {
          if (context.json) context.writeJson(event, 'line');
          else context.write(`${renderLogLine(event, context.style, context.width)}\n`);
        };
        const call = { from: options.from };
        const events = options.follow ? client.sessions.events(id, call) : client.sessions.log(id, call);
        for await (const event of events) show(event);
      }),
    );
}

function sequenceNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('expected a whole number, 0 or above.');
  return Number(value);
}
