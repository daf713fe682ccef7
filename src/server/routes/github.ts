import { createRoute } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import type { ForgeApp } from '../../core/ports/forge-app.ts';
import { BerthError } from '../../protocol/errors.ts';
import { githubApp, githubAppInput, githubStatus, setupLink, setupLinkRequest } from '../../protocol/forge-api.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

/** GitHub's own limit for a payload. */
const maxPayloadBytes = 25 * 1024 * 1024;
const signaturePattern = /^sha256=[0-9a-f]{64}$/;
const callTimeoutMs = 60_000;

/** The webhook: answers as soon as the delivery is stored, long before it is worked on. */
export function githubWebhookRoutes(forgeApp: ForgeApp): Extension {
  return (app) => {
    const limit = bodyLimit({
      maxSize: maxPayloadBytes,
      onError: () => {
        throw new BerthError('payload_too_large', `a payload has at most ${maxPayloadBytes} bytes`, { field: 'body' });
      },
    });
    app.post('/webhooks/github', (c, next) => {
      // Whoever sends no signature need not be listened to for 25 MB.
      if (signaturePattern.test(c.req.header('x-hub-signature-256') ?? '')) return limit(c, next);
      throw new BerthError('unauthorized', 'the signature is missing or wrong', { field: 'X-Hub-Signature-256' });
    });
    app.post('/webhooks/github', async (c) => {
      const delivery = await forgeApp.receive({
        id: c.req.header('x-github-delivery') ?? '',
        event: c.req.header('x-github-event') ?? '',
        signature: c.req.header('x-hub-signature-256') ?? null,
        body: new Uint8Array(await c.req.arrayBuffer()),
      });
      return c.json({ delivery }, 202);
    });
  };
}

/** What a user sees of GitHub and tells about it. */
export function githubRoutes(forgeApp: ForgeApp): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/github',
        security: tokenNeeded,
        responses: { 200: json(githubStatus, 'The App and where it is installed'), ...failures },
      }),
      async (c) => {
        const status = await forgeApp.status(AbortSignal.timeout(callTimeoutMs));
        return c.json({ configured: status.app !== null, ...status }, 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/github/setup-link',
        security: tokenNeeded,
        request: { body: { ...jsonBody(setupLinkRequest).body, required: false } },
        responses: { 201: json(setupLink, 'Opens the set-up page for an hour, until it was used'), ...failures },
      }),
      async (c) => c.json(await forgeApp.createSetupLink({
            replace: c.req.valid('json')?.replace ?? false,
            by: c.get('identity').user,
          }), 201),
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/github/app',
        security: tokenNeeded,
        request: jsonBody(githubAppInput),
        responses: { 201: json(githubApp, 'The App, as GitHub knows it'), ...failures },
      }),
      async (c) => {
        const { apiUrl, clientSecret, ...given } = c.req.valid('json');
        const registered = await forgeApp.register(
          { ...given, ...(apiUrl === undefined ? {} : { apiUrl }), ...(clientSecret === undefined ? {} : { clientSecret }) },
          c.get('identity').user,
          AbortSignal.timeout(callTimeoutMs),
        );
        return c.json(registered, 201);
      },
    );
  };
}
