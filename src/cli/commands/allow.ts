import type { Command } from 'commander';
import { action } from '../context.ts';
import { usageError } from '../failure.ts';
import { findPermission, requestTitle } from '../open-permissions.ts';
import { chooseByPolicy } from '../render/permission.ts';
import { sanitizeLine } from '../render/sanitize.ts';

interface AllowOptions {
  always?: boolean;
  option?: string;
}

export function register(program: Command): void {
  program
    .command('allow')
    .summary('grant what an agent asks for')
    .description('Grant what an agent asks for. Without a request id, the only open request is meant.')
    .argument('<session>', 'session id')
    .argument('[request]', 'request id')
    .option('--always', 'from now on, not just this once')
    .option('--option <id>', 'choose this option of the request')
    .action(
      action<AllowOptions>(async (context, { argument: [sessionId = '', requestId], options }) => {
        const client = await context.client();
        const request = await findPermission(client, sessionId, requestId);
        // `--always` asks for the lasting grant: one that is not offered is refused, not replaced.
        const lasting = request.options.find((each) => each.kind === 'allow_always')?.optionId ?? null;
        const optionId = options.option ?? (options.always ? lasting : chooseByPolicy(request.options, 'once'));
        const option = request.options.find((each) => each.optionId === optionId);
        if (option === undefined) {
          const offered = request.options.map((each) => `${each.optionId} (${sanitizeLine(each.name)})`).join(', ');
          throw usageError(`the request has no such option; it offers: ${offered}`, 'option');
        }
        await client.sessions.answerPermission(sessionId, request.requestId, option.optionId);
        if (context.json) return context.writeJson({ requestId: request.requestId, optionId: option.optionId });
        context.write(`${sanitizeLine(option.name)}: ${requestTitle(request)}\n`);
      }),
    );
}
