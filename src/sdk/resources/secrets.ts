import { secretList, secretView, type SecretView, type SetSecretInput } from '../../protocol/secrets-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

export interface SecretOptions extends CallOptions {
  /** Of a team; absent: the caller's own. */
  team?: string | undefined;
}

/** Secrets for services that agents call. Values go in and never come out. */
export interface SecretsResource {
  list(options?: SecretOptions): Promise<SecretView[]>;
  /** Makes it or replaces it whole. */
  set(name: string, secret: SetSecretInput, options?: SecretOptions): Promise<SecretView>;
  remove(name: string, options?: SecretOptions): Promise<void>;
}

export function createSecretsResource(transport: Transport): SecretsResource {
  const path = (team: string | undefined, name?: string) =>
    `/api${team === undefined ? '' : `/teams/${encodeURIComponent(team)}`}/secrets${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
  return {
    list: async ({ team, ...options } = {}) => (await transport.json(secretList, 'GET', path(team), options)).secrets,
    set: (name, secret, { team, ...options } = {}) =>
      transport.json(secretView, 'PUT', path(team, name), { json: secret, idempotent: true, ...options }),
    remove: (name, { team, ...options } = {}) => transport.empty('DELETE', path(team, name), { idempotent: true, ...options }),
  };
}
