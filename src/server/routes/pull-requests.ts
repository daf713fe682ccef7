import { createRoute } from '@hono/zod-openapi';
import type { PullRequestService } from '../../core/pulls/pull-request-service.ts';
import { branchState, openedPull, openPullRequest } from '../../protocol/forge-api.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

/** A large repository is packed, checked and pushed. */
const pushTimeoutMs = 10 * 60_000;

/** What a session's branch holds, and the pull request that is made of it. */
export function pullRequestRoutes(pulls: PullRequestService): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/sessions/{id}/branch',
        security: tokenNeeded,
        request: { params: sessionParams },
        responses: { 200: json(branchState, 'Its commits, and the pull request'), ...failures },
      }),
      async (c) => c.json(await pulls.branch(c.req.valid('param').id, c.req.raw.signal), 200),
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/sessions/{id}/pull-request',
        security: tokenNeeded,
        request: { params: sessionParams, ...jsonBody(openPullRequest) },
        responses: { 200: json(openedPull, 'The one that is open, new or not'), ...failures },
      }),
      async (c) => {
        // A push that has begun goes on without the caller.
        const signal = AbortSignal.timeout(pushTimeoutMs);
        const { user } = c.get('identity');
        return c.json(await pulls.open(c.req.valid('param').id, c.req.valid('json'), user, signal), 200);
      },
    );
  };
}
