import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Logger } from '../../core/ports/logger.ts';
import type { BeginSignIn, SignInService } from '../../core/users/sign-in/sign-in-service.ts';
import { asBerthError } from '../../protocol/errors.ts';
import { beginSignInRequest, linkedAccount, signInChoices, signInStart } from '../../protocol/sign-in-api.ts';
import type { Extension } from '../app.ts';
import type { AppEnv, BrowserAccess } from '../context.ts';
import { signInBrowser } from '../login-cookie.ts';
import { pagePolicy } from '../pages/page.ts';
import { signInRefusedPage } from '../pages/sign-in-refused.ts';
import { requireSameOrigin } from '../same-origin.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';
import { setWayCookie, takeWayCookie } from '../way-cookie.ts';

export interface SignInRoutesOptions {
  signIn: SignInService;
  browser: BrowserAccess;
  logger: Logger;
}

/** For all that is asked of another service at one step. */
const stepTimeoutMs = 60_000;
const providerParams = z.object({ provider: z.string().min(1).max(50) });

/** Signing in by accounts of other services, and linking them. */
export function accountSignInRoutes({ signIn, browser, logger }: SignInRoutesOptions): Extension {
  async function begin(c: Context<AppEnv>, provider: string, request: Omit<BeginSignIn, 'origin'>): Promise<{ url: string }> {
    const origin = browser.publicUrl() ?? new URL(c.req.url).origin;
    const { url, way } = await signIn.begin(provider, { origin, ...request }, AbortSignal.timeout(stepTimeoutMs));
    setWayCookie(c, browser, way);
    c.header('cache-control', 'no-store');
    return { url };
  }

  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/sign-in',
        responses: { 200: json(signInChoices, 'By what people can sign in beside links and tokens'), ...failures },
      }),
      async (c) => c.json({ providers: await signIn.choices() }, 200),
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/sign-in/{provider}',
        request: { params: providerParams, ...jsonBody(beginSignInRequest) },
        responses: { 200: json(signInStart, 'Where to send the browser; the cookie is for its way back'), ...failures },
      }),
      async (c) => {
        // Only a page of ours begins: nobody else can put a browser on its way.
        requireSameOrigin(c, browser.publicUrl());
        const { returnTo } = c.req.valid('json');
        return c.json(await begin(c, c.req.valid('param').provider, { returnTo, link: null }), 200);
      },
    );

    app.get('/sign-in/:provider/callback', async (c) => {
      // The address holds the service's code.
      c.header('cache-control', 'no-store');
      try {
        const answer = { way: takeWayCookie(c, browser), query: new URL(c.req.url).search };
        const done = await signIn.finish(c.req.param('provider'), answer, AbortSignal.timeout(stepTimeoutMs));
        if (done.kind === 'signed-in') signInBrowser(c, browser, { tokenHash: done.tokenHash, own: true });
        return c.redirect(done.returnTo, 303);
      } catch (thrown) {
        const error = asBerthError(thrown);
        const fields = { requestId: c.get('requestId'), path: c.req.path, code: error.code, err: thrown };
        if (error.status >= 500) logger.error(fields, 'a sign-in failed');
        c.header('content-security-policy', pagePolicy([]));
        return c.html(signInRefusedPage(error.message), error.status as ContentfulStatusCode);
      }
    });

    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/accounts',
        security: tokenNeeded,
        responses: { 200: json(z.object({ accounts: z.array(linkedAccount) }), "The caller's own, oldest first"), ...failures },
      }),
      async (c) => c.json({ accounts: await signIn.accounts(c.get('identity').user) }, 200),
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/accounts/{provider}',
        security: tokenNeeded,
        request: { params: providerParams, ...jsonBody(beginSignInRequest) },
        responses: { 200: json(signInStart, 'Where to send the browser; what it comes back with is linked'), ...failures },
      }),
      async (c) => {
        const { returnTo } = c.req.valid('json');
        const link = { user: c.get('identity').user, tokenHash: c.get('tokenHash') };
        return c.json(await begin(c, c.req.valid('param').provider, { returnTo, link }), 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'delete',
        path: '/api/accounts/{id}',
        security: tokenNeeded,
        request: { params: z.object({ id: z.string().min(1).max(100) }) },
        responses: { 204: { description: 'It signs nobody in any more' }, ...failures },
      }),
      async (c) => {
        await signIn.unlink(c.get('identity').user, c.req.valid('param').id);
        return c.body(null, 204);
      },
    );
  };
}
