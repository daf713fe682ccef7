import type { Command } from 'commander';
import { action } from '../context.ts';
import { findPermission, requestTitle } from '../open-permissions.ts';
import { chooseByPolicy } from '../render/permission.ts';

export function register(program: Command): void {
  program
    .command('deny')
    .summary('refuse what an agent asks for')
    .description('Refuse what an agent asks for. Without a request id, the only open request is meant.')
    .argument('<session>', 'session id')
    .argument('[request]', 'request id')
    .action(
      action(async (context, { argument: [sessionId = '', requestId] }) => {
        const client = await context.client();
        const request = await findPermission(client, sessionId, requestId);
        // An agent that offers no refusal gets its request cancelled, which refuses it too.
        const optionId = chooseByPolicy(request.options, 'reject');
        await client.sessions.answerPermission(sessionId, request.requestId, optionId);
        if (context.json) return context.writeJson({ requestId: request.requestId, optionId });
        context.write(`refused: ${requestTitle(request)}\n`);
      }),
    );
}
