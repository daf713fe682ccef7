import { randomBytes } from 'node:crypto';
import type { Context } from 'hono';
import type { Extension } from './app.ts';
import type { AppEnv } from './context.ts';

/** The built web application. Only names that the build made exist, so no path leads anywhere else. */
export interface WebFiles {
  /** The page, with `noncePlaceholder` wherever a nonce belongs; `null` when nothing was built. */
  page: string | null;
  find(path: string): WebFile | null;
}

export interface WebFile {
  contentType: string;
  /** Its name has a hash of its content. */
  immutable: boolean;
  read(encoding: WebEncoding): Promise<{ body: Uint8Array<ArrayBuffer>; encoding: WebEncoding }>;
}

export type WebEncoding = 'br' | 'gzip' | 'identity';

export const noncePlaceholder = 'BERTH_NONCE';

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Berth</title>
<p>The web application is not built. <code>make up</code> builds it.</p></html>`;

/**
 * Paths of the page itself: its routes are in the browser. What belongs to programs stays a 404 of the API.
 */
const programPath = /^\/(?:api|webhooks|setup|sign-in)(?:\/|$)/;

/** The web application's files, and its page at every other path. */
export function webAppRoutes(files: WebFiles): Extension {
  return (app) => {
    app.get('*', async (c, next) => {
      const { path } = c.req;
      if (programPath.test(path)) return next();
      const file = files.find(path);
      if (file !== null) return sendFile(c, file);
      // A missing file of an older build must fail as such, not arrive as a page.
      if (/\.[a-z0-9]+$/i.test(path)) return next();
      return sendPage(c, files.page ?? notBuilt);
    });
  };
}

async function sendFile(c: Context<AppEnv>, file: WebFile): Promise<Response> {
  const { body, encoding } = await file.read(accepted(c.req.header('accept-encoding')));
  c.header('content-type', file.contentType);
  c.header('cache-control', file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache');
  c.header('vary', 'accept-encoding');
  if (encoding !== 'identity') c.header('content-encoding', encoding);
  return c.body(body);
}

function sendPage(c: Context<AppEnv>, page: string): Response {
  const nonce = randomBytes(18).toString('base64');
  c.header('content-security-policy', contentPolicy(nonce));
  c.header('cache-control', 'no-store');
  return c.html(page.replaceAll(noncePlaceholder, nonce));
}

/**
 * Scripts come from this server's files alone. Style elements need the nonce: the terminal and the scroll lock of
 * dialogs make them. Nothing is loaded from, sent to or framed by another origin; images may be `data:`, since agents send them so.
 */
export function contentPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function accepted(header = ''): WebEncoding {
  const offered = header.split(',').map((each) => each.trim().split(';')[0]);
  return offered.includes('br') ? 'br' : offered.includes('gzip') ? 'gzip' : 'identity';
}
