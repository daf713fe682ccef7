import { OpenAPIHono, type Hook } from '@hono/zod-openapi';
import type { Env } from 'hono';
import type { Core } from '../core/create-core.ts';
import type { AgentCatalog, AgentInstaller } from '../core/ports/agent.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { Finding } from '../core/ports/sandbox-provider.ts';
import type { Store } from '../core/ports/store.ts';
import type { Principal } from '../core/users/principal.ts';
import type { RequestLimits } from './limits/request-limits.ts';
import type { Forwarding } from './forwarding/index.ts';
import { BerthError } from '../protocol/errors.ts';
import type { ModelApi } from '../protocol/keys.ts';
import type { BrowserLogin } from './browser-login.ts';
import type { PreviewSettings } from './previews/preview-addresses.ts';
import type { PreviewLinks } from './previews/preview-links.ts';

/** What the routes are given. */
export interface AppDependencies {
  core: Core;
  store: Store;
  agents: AgentCatalog;
  installer: AgentInstaller;
  logger: Logger;
  providerName: string;
  version: string;
  /** What this host has and what was chosen; slow, so made on demand. */
  report: () => Promise<readonly Finding[]>;
  /** The model APIs that a person's own sessions have a key for. Default: none. */
  usableApis?: (principal: Principal) => Promise<ReadonlySet<ModelApi>>;
  /** Where several servers share a database. */
  forwarding?: Forwarding;
  browser: BrowserAccess;
  /** Default: none. */
  limits?: RequestLimits;
  /** Where what listens in sandboxes is shown on origins of its own. */
  previews?: { links: PreviewLinks; settings: PreviewSettings };
}

/** How browsers are signed in, and where they reach this server. */
export interface BrowserAccess {
  login: BrowserLogin;
  /** `null`: only at the address that a request names. */
  publicUrl: () => string | null;
}

export interface AppEnv extends Env {
  /** `identity`: who a request is from; set by the policy. `forwarded`: the host whose server sent it on, and by which token. */
  Variables: {
    identity: Principal;
    tokenHash: string;
    requestId: string;
    forwarded?: { from: string; tokenHash: string };
  };
}

export type Router = OpenAPIHono<AppEnv>;

/** A router whose schema failures are `invalid_request` naming the field. */
export function createRouter(): Router {
  return new OpenAPIHono<AppEnv>({ defaultHook: refuseInvalid });
}

const refuseInvalid: Hook<unknown, AppEnv, string, unknown> = (result) => {
  if (result.success) return;
  const [issue] = result.error.issues;
  const field = issue === undefined ? '' : fieldOf(issue);
  throw new BerthError('invalid_request', `${field === '' ? 'the request' : field}: ${issue?.message ?? 'is not valid'}`, {
    ...(field !== '' && { field }),
  });
};

/** The dotted path of the value at fault; of a key that should not be there, the key. */
function fieldOf(issue: { code?: string | undefined; path: PropertyKey[]; keys?: unknown }): string {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys' && Array.isArray(issue.keys)) path.push(String(issue.keys[0]));
  return path.join('.');
}
