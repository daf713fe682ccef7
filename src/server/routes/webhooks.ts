import { createRoute } from '@hono/zod-openapi';
import { webhookSecret } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Extension } from '../app.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

export interface WebhookRoutesOptions {
  secret: string;
  /** The account of the machine's own user: who else could sign in its name. */
  owner: string;
}

/** What receivers check our webhooks by. */
export function webhookRoutes({ secret, owner }: WebhookRoutesOptions): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/webhooks/secret',
        security: tokenNeeded,
        responses: { 200: json(webhookSecret, 'The signing secret'), ...failures },
      }),
      async (c) => {
        if (c.get('identity').user !== owner) {
          throw new BerthError('forbidden', "the signing secret is for the machine's owner alone");
        }
        return c.json({ secret }, 200, { 'cache-control': 'no-store' });
      },
    );
  };
}
