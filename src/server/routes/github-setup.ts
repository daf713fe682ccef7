import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ForgeApp } from '../../core/ports/forge-app.ts';
import type { Logger } from '../../core/ports/logger.ts';
import { asBerthError } from '../../protocol/errors.ts';
import type { Extension } from '../app.ts';
import type { AppEnv } from '../context.ts';
import { refusedPage, registeredPage, setupPage } from '../pages/github-setup.ts';
import { pagePolicy, type Markup } from '../pages/page.ts';

const cookieName = 'berth_github_setup';
const cookiePath = '/setup/github';
const exchangeTimeoutMs = 60_000;

export interface GithubSetupOptions {
  forgeApp: ForgeApp;
  logger: Logger;
  /** Whether browsers reach the server by https, so that cookies may be kept to it. */
  isSecure: () => boolean;
}

/** The pages of registering the GitHub App, for a browser with a set-up link. */
export function githubSetupRoutes({ forgeApp, logger, isSecure }: GithubSetupOptions): Extension {
  return (app) => {
    app.get('/setup/github', (c) =>
      answer(c, logger, async () => {
        const link = c.req.query('setup') ?? '';
        const organization = c.req.query('organization')?.trim() || null;
        const form = await forgeApp.openSetup(link, organization);
        setCookie(c, cookieName, form.state, {
          path: cookiePath,
          httpOnly: true,
          secure: isSecure(),
          // Sent along when GitHub sends the browser back, and with no other request of another site.
          sameSite: 'Lax',
          maxAge: Math.max(0, Math.floor((Date.parse(form.expiresAt) - Date.now()) / 1000)),
        });
        return { body: setupPage(form, link, organization), formTargets: ["'self'", new URL(form.action).origin] };
      }),
    );

    app.get('/setup/github/callback', (c) =>
      answer(c, logger, async () => {
        const cookie = getCookie(c, cookieName) ?? '';
        deleteCookie(c, cookieName, { path: cookiePath, secure: isSecure() });
        const registered = await forgeApp.finishSetup(
          { code: c.req.query('code') ?? '', state: c.req.query('state') ?? '', cookie },
          AbortSignal.timeout(exchangeTimeoutMs),
        );
        return { body: registeredPage(registered), formTargets: [] };
      }),
    );
  };
}

/** Failures are pages too: a person looks at them. */
async function answer(
  c: Context<AppEnv>,
  logger: Logger,
  make: () => Promise<{ body: Markup; formTargets: string[] }>,
): Promise<Response> {
  // The address holds the link's secret.
  c.header('cache-control', 'no-store');
  try {
    const { body, formTargets } = await make();
    c.header('content-security-policy', pagePolicy(formTargets));
    return await c.html(body);
  } catch (thrown) {
    const error = asBerthError(thrown);
    const fields = { requestId: c.get('requestId'), path: c.req.path, code: error.code, err: thrown };
    if (error.status >= 500) logger.error(fields, 'set-up failed');
    else logger.debug(fields, 'set-up refused');
    c.header('content-security-policy', pagePolicy([]));
    return c.html(refusedPage(error.message), error.status as ContentfulStatusCode);
  }
}
