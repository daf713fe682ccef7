import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { loginLink, type LoginLink } from '../../protocol/login-api.ts';
import {
  addedToken,
  addedUser,
  addTokenRequest,
  addUserRequest,
  changeUserRequest,
  token,
  user,
} from '../../protocol/users-api.ts';
import type { AppDependencies, AppEnv, Router } from '../context.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';
import { inviteLifeMs } from '../browser-login.ts';
import { signInUrl } from './login.ts';

const userParams = z.object({ handle: z.string().min(1).max(100) });

/** The accounts, and signing a person in for the first time. */
export function userRoutes(app: Router, { core, browser }: AppDependencies): void {
  const { users, tokens } = core.accounts;

  async function signInLink(c: Context<AppEnv>, handle: string): Promise<LoginLink> {
    const { hash } = await users.issueSignIn(handle, c.get('identity').user);
    const { code, expiresAt } = browser.login.createCode(hash, inviteLifeMs);
    const base = browser.publicUrl() ?? new URL(c.req.url).origin;
    return { url: signInUrl(base, code), expiresAt: expiresAt.toISOString() };
  }

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/users',
      security: tokenNeeded,
      responses: { 200: json(z.object({ users: z.array(user) }), 'By handle'), ...failures },
    }),
    async (c) => c.json({ users: await users.list() }, 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/users',
      security: tokenNeeded,
      request: jsonBody(addUserRequest),
      responses: { 201: json(addedUser, 'The user, and a link that signs one browser in as him, once'), ...failures },
    }),
    async (c) => {
      const added = await users.add(c.req.valid('json'), c.get('identity').user);
      return c.json({ user: added, signIn: await signInLink(c, added.handle) }, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'patch',
      path: '/api/users/{handle}',
      security: tokenNeeded,
      request: { params: userParams, ...jsonBody(changeUserRequest) },
      responses: { 200: json(user, 'The user; disabled, he loses what he has open at once'), ...failures },
    }),
    async (c) => {
      const { handle } = c.req.valid('param');
      return c.json(await users.change(handle, c.req.valid('json'), c.get('identity').user), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/users/{handle}',
      security: tokenNeeded,
      request: { params: userParams },
      responses: { 204: { description: 'The account and its tokens are gone' }, ...failures },
    }),
    async (c) => {
      await users.remove(c.req.valid('param').handle, c.get('identity').user);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/users/{handle}/sign-in-link',
      security: tokenNeeded,
      request: { params: userParams },
      responses: { 201: json(loginLink, 'Signs one browser in as the user, once'), ...failures },
    }),
    async (c) => c.json(await signInLink(c, c.req.valid('param').handle), 201),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/users/{handle}/tokens',
      security: tokenNeeded,
      request: { params: userParams },
      responses: { 200: json(z.object({ tokens: z.array(token) }), 'Newest first'), ...failures },
    }),
    async (c) => {
      const { handle } = await users.get(c.req.valid('param').handle);
      return c.json({ tokens: await tokens.list(handle) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/users/{handle}/tokens',
      security: tokenNeeded,
      request: { params: userParams, ...jsonBody(addTokenRequest) },
      responses: { 201: json(addedToken, 'The token; its secret is in this answer alone'), ...failures },
    }),
    async (c) => {
      const { handle } = c.req.valid('param');
      const added = await tokens.add(handle, c.req.valid('json'), c.get('identity').user);
      return c.json(added, 201, { 'cache-control': 'no-store' });
    },
  );
}
