import type { IncomingMessage, ServerResponse } from 'node:http';
import { BerthError, toErrorBody } from '../protocol/errors.ts';
import { log } from './log.ts';

/** What a handler is given. It answers on `res`, by `sendJson` or by writing to it, or throws a `BerthError`. */
export interface RouteContext {
  req: IncomingMessage;
  res: ServerResponse;
  url: URL;
  /** Values of the pattern's `:names`, percent-decoded. */
  params: Record<string, string>;
  /**
   * The body as JSON. Throws `payload_too_large` above `maxBytes` (default `defaultMaxBodyBytes`) and
   * `invalid_request` when it is not JSON.
   */
  readJson: (maxBytes?: number) => Promise<unknown>;
}

export interface Route {
  method: string;
  /** Segments are literal or `:name`, which matches one whole segment: `/processes/:id/signal`. */
  pattern: string;
  handler(ctx: RouteContext): Promise<void> | void;
}

const maxDiscardBytes = 1024 * 1024 * 1024;

/** Routes that are loaded on the first request below `prefix`, so that an idle runner stays small. */
export interface LazyRoutes {
  prefix: string;
  load(): Promise<Route[]>;
}

/** Holds any JSON but a prompt with images or a large `stdin`; those routes name their own. */
export const defaultMaxBodyBytes = 4 * 1024 * 1024;

export interface Router {
  /** Answers the request; never rejects. */
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>;
}

export function createRouter(routes: readonly Route[], lazy: readonly LazyRoutes[] = []): Router {
  const loaded = new Map<LazyRoutes, Route[]>();

  async function candidates(path: string): Promise<readonly Route[]> {
    const entry = lazy.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
    if (entry === undefined) return routes;
    // Kept only when it succeeded, so that a failed load is tried again.
    const found = loaded.get(entry) ?? (await entry.load());
    loaded.set(entry, found);
    return found;
  }

  return {
    async handle(req, res) {
      try {
        const url = parseUrl(req);
        const { route, params } = findRoute(await candidates(url.pathname), req.method ?? 'GET', url.pathname);
        await route.handler({ req, res, url, params, readJson: (maxBytes) => readJson(req, maxBytes) });
      } catch (error) {
        // The caller left: nobody is there to be answered.
        if (req.destroyed && !req.complete) return;
        await discardBody(req).catch(() => undefined);
        sendError(req, res, error);
      }
    },
  };
}

export function parseUrl(req: IncomingMessage): URL {
  try {
    return new URL(req.url ?? '/', 'http://runner');
  } catch (cause) {
    throw new BerthError('invalid_request', 'the request target is not a URL', { cause });
  }
}

function findRoute<R extends { method: string; pattern: string }>(
  routes: readonly R[],
  method: string,
  path: string,
): { route: R; params: Record<string, string> } {
  const allowed: string[] = [];
  for (const route of routes) {
    const params = matchPattern(route.pattern, path);
    if (params === null) continue;
    if (route.method === method) return { route, params };
    allowed.push(route.method);
  }
  if (allowed.length === 0) throw new BerthError('not_found', `no route ${path}`);
  throw new BerthError('method_not_allowed', `${method} is not allowed here`, { context: { allowed } });
}

/** The values of the pattern's names, or `null` when the path does not match. */
export function matchPattern(pattern: string, path: string): Record<string, string> | null {
  if (!pattern.includes(':')) return pattern === path ? {} : null;
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const value = given[i] ?? '';
    if (!part.startsWith(':')) {
      if (part !== value) return null;
    } else if (value === '') {
      return null;
    } else {
      params[part.slice(1)] = decodeSegment(value);
    }
  }
  return params;
}

function decodeSegment(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch (cause) {
    throw new BerthError('invalid_request', 'the path is not percent-encoded UTF-8', { cause });
  }
}

/** Reads the whole body, at most `maxBytes`. */
export async function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new BerthError('payload_too_large', `the body exceeds ${maxBytes} bytes`, { context: { maxBytes } });
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bodyOf(req)) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size);
}

/** The body's chunks. Leaving the loop early keeps the connection, so that the reason can be answered. */
export function bodyOf(req: IncomingMessage): AsyncIterable<Buffer> {
  return req.iterator({ destroyOnReturn: false });
}

/**
 * Reads what is left of a body, so that its sender comes to read the answer instead of meeting a reset. Not one that
 * still waits for `100 Continue`, and only to a bound: an endless one is cut off.
 */
async function discardBody(req: IncomingMessage): Promise<void> {
  if (req.complete || req.destroyed || (req.headers.expect !== undefined && !req.readableDidRead)) return;
  let size = 0;
  for await (const chunk of bodyOf(req)) {
    size += chunk.length;
    if (size > maxDiscardBytes) return;
  }
}

async function readJson(req: IncomingMessage, maxBytes = defaultMaxBodyBytes): Promise<unknown> {
  const body = await readBody(req, maxBytes);
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new BerthError('invalid_request', 'the body is not JSON', { cause });
  }
}

export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  res.end(bytes);
}

export function sendNoContent(res: ServerResponse): void {
  res.writeHead(204);
  res.end();
}

/**
 * Answers a failure. What is not a `BerthError` becomes an opaque `internal` and a line on stderr.
 * An answer already begun cannot be taken back: its connection is broken, so that nobody takes it for whole.
 */
export function sendError(req: IncomingMessage, res: ServerResponse, thrown: unknown): void {
  const error = toBerthError(thrown);
  if (res.headersSent) {
    res.destroy();
    return;
  }
  // Unread body bytes would be taken for the next request.
  if (!req.complete) res.setHeader('connection', 'close');
  sendJson(res, error.status, toErrorBody(error));
}

/** A thrown value as the error to answer with; unknown ones are logged here, once. */
export function toBerthError(thrown: unknown): BerthError {
  if (thrown instanceof BerthError) return thrown;
  log(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
  return new BerthError('internal', 'an internal error occurred in the runner');
}
