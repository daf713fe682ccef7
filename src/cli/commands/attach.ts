import type { Command } from 'commander';
import { action } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { converse } from '../conversation.ts';
import { withAllow, type AllowFlag } from './follow-options.ts';

interface AttachOptions extends AllowFlag {
  from?: string;
}

export function register(program: Command): void {
  const command = program
    .command('attach')
    .summary('follow a session, prompt it, answer its questions')
    .description(
      'Follow a session from its beginning, prompt it when it is idle and answer its permission requests. ' +
        'Ctrl-C interrupts a running turn; Ctrl-D leaves, and the session goes on.',
    )
    .argument('<session>', 'session id')
    .option('--from <seq>', 'show events after this number; "now" shows new ones only');
  withAllow(command).action(
    action<AttachOptions>(async (context, { argument: [sessionId = ''], options }) => {
      const client = await context.client();
      const session = await client.sessions.get(sessionId);
      const from = options.from === 'now' ? session.lastSeq : Number(options.from ?? 0);
      await converse(context, client, { session, from: Number.isFinite(from) ? from : 0, allow: options.allow });
      return exitCode.ok;
    }),
  );
}
