import { createRoute } from '@hono/zod-openapi';
import { serverActor } from '../../core/audit/actor.ts';
import { isTold } from '../../core/audit/told-counts.ts';
import { hashToken, type Principal } from '../../core/users/principal.ts';
import { loginLink, loginRequest, me, type LoginRequest } from '../../protocol/login-api.ts';
import { asBerthError } from '../../protocol/errors.ts';
import { account } from '../../protocol/users-api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { signInBrowser, signOutBrowser } from '../login-cookie.ts';
import { requireSameOrigin } from '../same-origin.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

/** Signing a browser in and out; both are outside the token's wall. */
export function signInRoutes(app: Router, { core, browser }: AppDependencies): void {
  const { login, publicUrl } = browser;
  /** In this process; anybody may fail, so the log has only some. */
  let failed = 0;

  async function admitted(body: LoginRequest): Promise<{ tokenHash: string; principal: Principal }> {
    try {
      const tokenHash = 'code' in body ? await login.redeemCode(body.code) : hashToken(body.token);
      return { tokenHash, principal: await core.accounts.admit(tokenHash, [{ needs: 'self:view' }]) };
    } catch (cause) {
      if (asBerthError(cause).code === 'unauthorized' && isTold(failed, ++failed)) {
        const detail = { with: 'code' in body ? 'link' : 'token', count: failed };
        await core.audit.record(serverActor, { action: 'signin.failed', target: null, sessionId: null, detail });
      }
      throw cause;
    }
  }

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/login',
      request: jsonBody(loginRequest),
      responses: { 200: json(me, 'Signed in: the cookie is set'), ...failures },
    }),
    async (c) => {
      requireSameOrigin(c, publicUrl());
      const body = c.req.valid('json');
      const { tokenHash, principal } = await admitted(body);
      const { user, tokenId } = principal;
      await core.audit.record(user, {
        action: 'signin.succeeded',
        target: user,
        sessionId: null,
        detail: { with: 'code' in body ? 'link' : 'token', token: tokenId },
      });
      signInBrowser(c, browser, { tokenHash, own: false });
      return c.json({ user }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/logout',
      responses: { 204: { description: 'The cookie is gone, and a token that was made for it' }, ...failures },
    }),
    async (c) => {
      requireSameOrigin(c, publicUrl());
      const claims = signOutBrowser(c, browser);
      if (claims?.own === true) await core.accounts.tokens.revokeOwn(claims.tokenHash);
      return c.body(null, 204);
    },
  );
}

/** Behind the wall: who one is, and links that sign in another browser as the same user. */
export function loginRoutes(app: Router, { core, browser }: AppDependencies): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/me',
      security: tokenNeeded,
      responses: { 200: json(account, 'Who the token belongs to, and what it may'), ...failures },
    }),
    async (c) => c.json(await core.accounts.describe(c.get('identity')), 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/login-links',
      security: tokenNeeded,
      responses: { 201: json(loginLink, 'Signs one browser in, once'), ...failures },
    }),
    async (c) => {
      const { user } = c.get('identity');
      await core.audit.record(user, { action: 'signin.link_created', target: user, sessionId: null, detail: {} });
      const { code, expiresAt } = browser.login.createCode(c.get('tokenHash'));
      const base = browser.publicUrl() ?? new URL(c.req.url).origin;
      return c.json({ url: signInUrl(base, code), expiresAt: expiresAt.toISOString() }, 201);
    },
  );
}

/** The code is in the fragment, which no browser sends to any server and no proxy logs. */
export function signInUrl(base: string, code: string): string {
  return `${base.replace(/\/$/, '')}/#code=${code}`;
}
