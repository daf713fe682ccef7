import { createRoute } from '@hono/zod-openapi';
import { webhookSecret } from '../../protocol/api.ts';
import type { Extension } from '../app.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

export interface WebhookRoutesOptions {
  secret: string;
}

/** What receivers check our webhooks by. */
export function webhookRoutes({ secret }: WebhookRoutesOptions): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/webhooks/secret',
        security: tokenNeeded,
        responses: { 200: json(webhookSecret, 'The signing secret'), ...failures },
      }),
      (c) => c.json({ secret }, 200, { 'cache-control': 'no-store' }),
    );
  };
}
