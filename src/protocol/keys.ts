import { z } from 'zod';

/** Credentials for models, kept sealed. What is secret in them goes in and never comes out. */

export const modelApi = z.enum(['anthropic', 'openai', 'gemini']);
export type ModelApi = z.infer<typeof modelApi>;

/** Whose sessions a key is for: a user's, those of a team, or all. The nearest one is used. */
export const keyScope = z.enum(['user', 'team', 'server']);
export type KeyScope = z.infer<typeof keyScope>;

const secretText = z.string().min(1).max(16_384).regex(/^[\x21-\x7e]+$/, 'printable characters without spaces');
const address = z.url({ protocol: /^https?$/ }).max(2048);

export const createKeyRequest = z.strictObject({
  /** Unique among the keys of its user, its team or the server. */
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'up to 63 of a-z, 0-9, dot, dash and underscore'),
  api: modelApi,
  scope: keyScope.default('user'),
  /** For the scope `team`. */
  team: z.string().min(1).max(200).optional(),
  /** Where calls go; default the API's own address. Only the owner of the installation may name one. */
  baseUrl: address.optional(),
  secret: z.union([
    z.strictObject({ apiKey: secretText }),
    z.strictObject({
      accessToken: secretText,
      /** With it the server gets new access tokens by itself, from `tokenUrl`. */
      refreshToken: secretText.optional(),
      expiresAt: z.iso.datetime().optional(),
      /** Only the owner of the installation may name one. */
      tokenUrl: address.optional(),
      clientId: z.string().min(1).max(500).optional(),
    }),
  ]),
});
export type CreateKeyRequest = z.infer<typeof createKeyRequest>;
export type CreateKeyInput = z.input<typeof createKeyRequest>;

export const modelKeyView = z.object({
  id: z.string(),
  name: z.string(),
  api: modelApi,
  scope: keyScope,
  /** The user or team; `null` for the server's. */
  subject: z.string().nullable(),
  /** `null`: the API's own. */
  baseUrl: z.string().nullable(),
  kind: z.enum(['api_key', 'oauth']),
  /** When the access token ends; `null`: never, or unknown. */
  expiresAt: z.iso.datetime().nullable(),
  /** Whether the server renews it by itself. */
  renews: z.boolean(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type ModelKeyView = z.infer<typeof modelKeyView>;

export const rotation = z.object({
  /** The data key that secrets are sealed with from now on. */
  keyId: z.string(),
  /** What was sealed anew. */
  resealed: z.number().int().nonnegative(),
  /** Earlier data keys that are gone. */
  removed: z.number().int().nonnegative(),
  /** Earlier data keys that are kept a while for other servers' sake. */
  kept: z.number().int().nonnegative(),
});
export type Rotation = z.infer<typeof rotation>;
