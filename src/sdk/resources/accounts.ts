import { z } from 'zod';
import {
  linkedAccount,
  signInChoices,
  signInStart,
  type LinkedAccount,
  type SignInChoices,
  type SignInStart,
} from '../../protocol/sign-in-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** Signing in by accounts of other services: for the server's own pages, since it is the browser that goes there and back. */
export interface AccountsResource {
  /** Services by which people can sign in. Needs no token. */
  choices(options?: CallOptions): Promise<SignInChoices['providers']>;
  /** Where to send the browser, which comes back signed in at `returnTo`. Needs no token. */
  signIn(provider: string, returnTo: string, options?: CallOptions): Promise<SignInStart>;
  /** The caller's own, oldest first. */
  list(options?: CallOptions): Promise<LinkedAccount[]>;
  /** As `signIn`: what the browser comes back with is the caller's then. */
  link(provider: string, returnTo: string, options?: CallOptions): Promise<SignInStart>;
  /** Throws `conflict` for the last one. */
  unlink(id: string, options?: CallOptions): Promise<void>;
}

export function createAccountsResource(transport: Transport): AccountsResource {
  return {
    async choices(options) {
      return (await transport.json(signInChoices, 'GET', '/api/sign-in', options)).providers;
    },
    signIn: (provider, returnTo, options) =>
      transport.json(signInStart, 'POST', `/api/sign-in/${encodeURIComponent(provider)}`, { json: { returnTo }, ...options }),
    async list(options) {
      return (await transport.json(z.object({ accounts: z.array(linkedAccount) }), 'GET', '/api/accounts', options)).accounts;
    },
    link: (provider, returnTo, options) =>
      transport.json(signInStart, 'POST', `/api/accounts/${encodeURIComponent(provider)}`, { json: { returnTo }, ...options }),
    unlink: (id, options) => transport.empty('DELETE', `/api/accounts/${encodeURIComponent(id)}`, options),
  };
}
