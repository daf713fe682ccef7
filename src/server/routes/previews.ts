import { createRoute, z } from '@hono/zod-openapi';
import { actorOf } from '../../core/audit/actor.ts';
import { BerthError } from '../../protocol/errors.ts';
import { previewLink } from '../../protocol/preview-api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { hostUrl, linkParameter } from '../previews/preview-addresses.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

const params = z.object({ id: z.string().min(1).max(100), port: z.coerce.number().int().min(1).max(65_535) });

/** Links to previews; the previews themselves are elsewhere (`previews/preview-app.ts`). */
export function previewRoutes(app: Router, { previews, core, store }: AppDependencies): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/ports/{port}/preview',
      security: tokenNeeded,
      request: { params },
      responses: { 201: json(previewLink, 'Shows what listens on the port to the browser that follows it'), ...failures },
    }),
    async (c) => {
      if (previews === undefined) {
        throw new BerthError('unsupported', 'this server has no previews: set BERTH_PREVIEW_PORT', { field: 'port' });
      }
      const { id: sessionId, port } = c.req.valid('param');
      await core.sessions.get(sessionId);
      const grant = { sessionId, port, tokenHash: c.get('tokenHash') };
      const { links, settings } = previews;
      const own = hostUrl(settings, sessionId, port);
      const { text, expiresAt } = own === null ? links.createAddress(grant) : links.createLink(grant);
      own?.searchParams.set(linkParameter, text);
      const { user } = c.get('identity');
      const at = new Date().toISOString();
      await store.transaction((tx) =>
        tx.appendAudit([{ at, actor: actorOf(user), action: 'preview.link_created', target: String(port), sessionId, detail: {} }]),
      );
      return c.json({ url: own?.href ?? `${settings.baseUrl()}/p/${text}/`, expiresAt: expiresAt.toISOString() }, 201);
    },
  );
}
