import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GitControl } from '../../core/ports/git-control.ts';
import type { Logger } from '../../core/ports/logger.ts';
import { answerText } from './answer-text.ts';
import { createFetchProxy } from './fetch-proxy.ts';
import { parseGitTarget, type GitTarget } from './git-target.ts';
import { createPushEndpoint } from './push-endpoint.ts';

/**
 * Git over smart HTTP for what runs in a sandbox, at `/git/<host>/<path>`: fetches go to the forge with the credential
 * put in, pushes end here (`push-endpoint.ts`). Whose sandbox it is comes from the channel, and which repository from
 * the session: an address of a sandbox is compared with it and never used.
 */
export interface GitGateway {
  handle(sessionId: string, request: IncomingMessage, response: ServerResponse): void;
  /** Ends kept-alive connections. */
  close(): void;
}

export function createGitGateway(options: { control: GitControl; logger: Logger }): GitGateway {
  const { control, logger } = options;
  const fetches = createFetchProxy(options);
  const pushes = createPushEndpoint(options);

  async function serve(sessionId: string, target: GitTarget, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { service, step } = target;
    const grant = await control.grant(sessionId, target);
    if ('refused' in grant) {
      if (service === 'git-receive-pack' && step === 'advertise') await control.refused(sessionId, { refs: [], reason: grant.refused });
      if (grant.elsewhere === undefined || service !== 'git-upload-pack' || step !== 'advertise') {
        return answerText(request, response, 403, grant.refused);
      }
      // Git takes the beginning of an address for the whole: `…/app` in front of `…/app-tools` leads here too.
      response.writeHead(302, { location: `${grant.elsewhere}/info/refs?service=${service}`, 'content-length': 0 });
      return void response.end();
    }
    if (service === 'git-upload-pack') return fetches.handle(grant.url, step, request, response);
    if (grant.push === null) return answerText(request, response, 403, 'this session has no branch of its own to push to');
    return step === 'advertise'
      ? pushes.advertise(grant.push, request, response)
      : pushes.receive(sessionId, grant.push, request, response);
  }

  return {
    handle(sessionId, request, response) {
      const target = parseGitTarget(request.method ?? '', request.url ?? '');
      if (target === null) return answerText(request, response, 403, "the git gateway serves git's smart protocol only: fetch and push");
      serve(sessionId, target, request, response).catch((error: unknown) => {
        logger.error({ sessionId, err: error }, 'a git request failed');
        answerText(request, response, 500, 'the request failed');
      });
      return undefined;
    },
    close: () => fetches.close(),
  };
}
