import { z } from 'zod';
import { loginLink, type LoginLink } from '../../protocol/login-api.ts';
import {
  addedToken,
  addedUser,
  token,
  user,
  type AddedToken,
  type AddedUser,
  type addTokenRequest,
  type addUserRequest,
  type ChangeUserRequest,
  type Token,
  type User,
} from '../../protocol/users-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

export type AddUserInput = z.input<typeof addUserRequest>;
export type AddTokenInput = z.input<typeof addTokenRequest>;

/** The accounts. To change them is for owners of the installation. */
export interface UsersResource {
  /** By handle. */
  list(options?: CallOptions): Promise<User[]>;
  /** With a link that signs one browser in as the user, once. Throws `conflict` for a handle that is taken. */
  add(input: AddUserInput, options?: CallOptions): Promise<AddedUser>;
  /** Throws `conflict` when no owner would be left. */
  change(handle: string, change: ChangeUserRequest, options?: CallOptions): Promise<User>;
  /** Throws `conflict` for the last owner, the machine's own user, and for one who has sessions or snapshots. */
  remove(handle: string, options?: CallOptions): Promise<void>;
  signInLink(handle: string, options?: CallOptions): Promise<LoginLink>;
  tokens(handle: string, options?: CallOptions): Promise<Token[]>;
  addToken(handle: string, input: AddTokenInput, options?: CallOptions): Promise<AddedToken>;
}

/** The caller's own tokens. */
export interface TokensResource {
  /** Newest first. */
  list(options?: CallOptions): Promise<Token[]>;
  /** The secret is in this answer alone. */
  add(input: AddTokenInput, options?: CallOptions): Promise<AddedToken>;
  /** What it has open ends at once. */
  revoke(id: string, options?: CallOptions): Promise<void>;
}

const tokenPage = z.object({ tokens: z.array(token) });

export function createUsersResource(transport: Transport): UsersResource {
  const path = (handle: string, suffix = ''): string => `/api/users/${encodeURIComponent(handle)}${suffix}`;
  return {
    async list(options) {
      return (await transport.json(z.object({ users: z.array(user) }), 'GET', '/api/users', options)).users;
    },
    add: (input, options) => transport.json(addedUser, 'POST', '/api/users', { json: input, ...options }),
    change: (handle, change, options) =>
      transport.json(user, 'PATCH', path(handle), { json: change, idempotent: true, ...options }),
    remove: (handle, options) => transport.empty('DELETE', path(handle), options),
    signInLink: (handle, options) => transport.json(loginLink, 'POST', path(handle, '/sign-in-link'), options),
    tokens: async (handle, options) => (await transport.json(tokenPage, 'GET', path(handle, '/tokens'), options)).tokens,
    addToken: (handle, input, options) =>
      transport.json(addedToken, 'POST', path(handle, '/tokens'), { json: input, ...options }),
  };
}

export function createTokensResource(transport: Transport): TokensResource {
  return {
    list: async (options) => (await transport.json(tokenPage, 'GET', '/api/tokens', options)).tokens,
    add: (input, options) => transport.json(addedToken, 'POST', '/api/tokens', { json: input, ...options }),
    revoke: (id, options) => transport.empty('DELETE', `/api/tokens/${encodeURIComponent(id)}`, options),
  };
}
