import type { ModelCredential } from '../core/ports/model-credentials.ts';
import { modelApi, type ModelApi } from '../protocol/keys.ts';

/** The wire formats the gateway speaks, which are also the first path segment inside the sandbox. */
export const modelApis = modelApi.options;
export type { ModelApi };

/**
 * Where model calls go and the real credentials for them. Held by the gateway alone. `baseUrl` may
 * carry a path prefix, and may end in the API's version (`/v1`) or not.
 */
export interface ModelUpstreams {
  /** `authToken` is a subscription's OAuth token, sent as a bearer; `apiKey` as `x-api-key`. */
  anthropic?: ModelUpstream & ({ apiKey: string } | { authToken: string });
  openai?: ModelUpstream & { apiKey: string };
  gemini?: ModelUpstream & { apiKey: string };
}

export interface ModelUpstream {
  baseUrl: string;
}

interface ModelApiRules {
  title: string;
  /** Where calls go for a key that names no address. */
  baseUrl: string;
  /** What an operator sets to configure the upstream; named in the refusal when it is missing. */
  setting: string;
  /** Method and path, version included, that may be called. All else is refused. */
  routes: readonly { method: 'GET' | 'POST'; path: RegExp }[];
}

/** A model's name: what may stand in one path segment without being able to leave it. */
const model = '[A-Za-z0-9][A-Za-z0-9._@:-]{0,199}';
const geminiModel = '(?:models|tunedModels)/[A-Za-z0-9][A-Za-z0-9._-]{0,199}';

export const modelApiRules: Record<ModelApi, ModelApiRules> = {
  anthropic: {
    title: 'Anthropic',
    baseUrl: 'https://api.anthropic.com',
    setting: 'ANTHROPIC_API_KEY',
    routes: [
      { method: 'POST', path: /^\/v1\/messages(?:\/count_tokens)?$/ },
      { method: 'GET', path: new RegExp(`^/v1/models(?:/${model})?$`) },
    ],
  },
  openai: {
    title: 'OpenAI',
    baseUrl: 'https://api.openai.com/v1',
    setting: 'OPENAI_API_KEY',
    routes: [
      { method: 'POST', path: /^\/v1\/(?:responses(?:\/compact)?|chat\/completions)$/ },
      { method: 'GET', path: new RegExp(`^/v1/models(?:/${model})?$`) },
    ],
  },
  gemini: {
    title: 'Gemini',
    baseUrl: 'https://generativelanguage.googleapis.com',
    setting: 'GEMINI_API_KEY',
    routes: [
      {
        method: 'POST',
        path: new RegExp(
          `^/v1(?:beta|alpha)?/${geminiModel}:(?:generateContent|streamGenerateContent|countTokens|embedContent)$`,
        ),
      },
      { method: 'GET', path: new RegExp(`^/v1(?:beta|alpha)?/models(?:/${model})?$`) },
    ],
  },
};

export function isAllowedRoute(api: ModelApi, method: string, path: string): boolean {
  return modelApiRules[api].routes.some((route) => route.method === method && route.path.test(path));
}

/** Calls that cost something: all that generate. Lists of models and counts of tokens are free. */
export function isMeteredRoute(method: string, path: string): boolean {
  return method === 'POST' && !/[/:]count_?tokens$/i.test(path);
}

/** Puts an allowed path behind the configured base, without doubling the version segment. */
export function upstreamUrl(baseUrl: string, path: string, query: URLSearchParams): URL {
  const url = new URL(baseUrl);
  const prefix = url.pathname.replace(/\/+$/, '');
  const version = path.slice(0, path.indexOf('/', 1));
  url.pathname = (prefix.endsWith(version) ? prefix.slice(0, -version.length) : prefix) + path;
  url.search = query.toString();
  url.hash = '';
  return url;
}

/** The header fields that carry the real credential. */
export function credentialHeaders(
  api: ModelApi,
  { kind, secret }: Pick<ModelCredential, 'kind' | 'secret'>,
  requested: { anthropicBeta: string | undefined },
): Record<string, string> {
  if (api === 'anthropic' && kind === 'oauth') {
    // Anthropic accepts a subscription's token only together with this beta flag.
    const flags = new Set((requested.anthropicBeta ?? '').split(',').map((flag) => flag.trim()));
    flags.delete('');
    flags.add('oauth-2025-04-20');
    return { authorization: `Bearer ${secret}`, 'anthropic-beta': [...flags].join(',') };
  }
  if (api === 'openai' || kind === 'oauth') return { authorization: `Bearer ${secret}` };
  return api === 'anthropic' ? { 'x-api-key': secret } : { 'x-goog-api-key': secret };
}
