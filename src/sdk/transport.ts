import type { z } from 'zod';
import { BerthError, asBerthError, fromErrorBody } from '../protocol/errors.ts';
import { delay } from './delay.ts';

/** Anything that behaves like the global `fetch`; tests and Workers bring their own. */
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

export interface TransportOptions {
  /** Address of the server, with or without a trailing slash. */
  baseUrl: string;
  /** `null` in the server's own web pages: the browser sends the cookie that signed it in. */
  token: string | null;
  fetch?: Fetch | undefined;
}

export interface RequestOptions {
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: RequestBody;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /**
   * The same call twice has the effect of one, so it may be sent again after a network failure.
   * Default: `GET` only. (A repeated `DELETE` whose first answer was lost would report `not_found`.)
   */
  idempotent?: boolean;
}

/** What a file's content may be. A stream is sent once and never again, even after a network failure. */
export type RequestBody = string | Uint8Array | Blob | ReadableStream<Uint8Array>;

/** Waits before the second and third attempt of an idempotent request. */
const retryDelaysMs = [150, 600];

/**
 * One HTTP request, its error mapping and its retries: everything that the resources share.
 * Throws `BerthError` only: the server's own, or `unavailable` when no answer came.
 */
export class Transport {
  readonly baseUrl: string;
  readonly token: string | null;
  readonly #fetch: Fetch;

  constructor(options: TransportOptions) {
    this.baseUrl = checkedBaseUrl(options.baseUrl);
    this.token = options.token;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  url(path: string, query: RequestOptions['query'] = {}): URL {
    const url = new URL(this.baseUrl + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url;
  }

  /** The answer's JSON, checked against `schema`. A body of another shape is `upstream_failed`. */
  async json<T extends z.ZodType>(
    schema: T,
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<z.output<T>> {
    const response = await this.send(method, path, options);
    const body = await readJson(response);
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new BerthError('upstream_failed', `the server's answer to ${method} ${path} has an unexpected shape`, {
      context: { issues: parsed.error.issues.slice(0, 5).map((issue) => `${issue.path.join('.')}: ${issue.message}`) },
    });
  }

  /** For calls whose answer has no body. */
  async empty(method: string, path: string, options: RequestOptions = {}): Promise<void> {
    const response = await this.send(method, path, options);
    await response.body?.cancel();
  }

  /** The response itself, already known to be a success. The caller reads or cancels its body. */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const idempotent = (options.idempotent ?? method === 'GET') && !isStream(options.body);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(method, path, options);
      } catch (error) {
        const wait = retryDelaysMs[attempt];
        const retry = idempotent && error instanceof BerthError && error.code === 'unavailable';
        if (!retry || wait === undefined) throw error;
        await delay(wait, options.signal);
      }
    }
  }

  async #once(method: string, path: string, options: RequestOptions): Promise<Response> {
    const init: RequestInit & { duplex?: 'half' } = {
      method,
      headers: {
        ...(this.token === null ? {} : { authorization: `Bearer ${this.token}` }),
        ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.signal ? { signal: options.signal } : {}),
    };
    if (options.json !== undefined) init.body = JSON.stringify(options.json);
    else if (options.body !== undefined) init.body = options.body as BodyInit;
    // The Fetch standard demands `duplex` for a streamed body.
    if (isStream(options.body)) init.duplex = 'half';

    let response: Response;
    try {
      response = await this.#fetch(this.url(path, options.query).href, init);
    } catch (error) {
      if (options.signal?.aborted && !(error instanceof BerthError)) {
        throw new BerthError('cancelled', 'the operation was cancelled', { cause: error });
      }
      throw networkFailure(error, this.baseUrl);
    }
    if (response.ok) return response;
    throw fromErrorBody(await readJson(response).catch(() => null), response.status);
  }
}

/** What `fetch` and body streams throw, as a `BerthError`: an abort stays an abort, the rest is `unavailable`. */
export function networkFailure(error: unknown, baseUrl: string): BerthError {
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
    return asBerthError(error);
  }
  if (error instanceof BerthError) return error;
  const reason = (error as { cause?: { code?: unknown } } | null)?.cause?.code;
  return new BerthError('unavailable', `no answer from ${baseUrl}${typeof reason === 'string' ? ` (${reason})` : ''}`, {
    cause: error,
  });
}

async function readJson(response: Response): Promise<unknown> {
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw networkFailure(error, new URL(response.url || 'http://server').origin);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BerthError('upstream_failed', `the server's answer is not JSON (HTTP ${response.status})`, {
      cause: error,
    });
  }
}

function isStream(body: RequestBody | undefined): boolean {
  return body instanceof ReadableStream;
}

function checkedBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new BerthError('invalid_request', `not an http or https address: ${text}`, { field: 'baseUrl' });
  }
  return (url.origin + url.pathname).replace(/\/+$/, '');
}
