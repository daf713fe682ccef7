import { z } from 'zod';

/**
 * The API's part about signing in by accounts of other services. Rules of `api.ts` hold. `docs/guides/users.md` says who is let in.
 *
 * | route | body -> answer |
 * |---|---|
 * | GET /api/sign-in (no token) | -> `signInChoices` |
 * | POST /api/sign-in/:provider (no token; from this server's own pages) | `beginSignInRequest` -> `signInStart`, and a cookie for the way |
 * | GET /sign-in/:provider/callback (no token) | where the service sends the browser back: a page, or on to `returnTo` |
 * | GET /api/accounts | -> `{ accounts: linkedAccount[] }`, the caller's own |
 * | POST /api/accounts/:provider | `beginSignInRequest` -> `signInStart`: as above, and the account becomes the caller's |
 * | DELETE /api/accounts/:id | -> 204; `conflict` for the last one |
 */
export const identityProviderName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,38}$/, 'small letters, digits and "-", at most 39');

export const signInChoices = z.object({
  providers: z.array(
    z.object({
      name: z.string(),
      /** What the button says: "GitHub", or as the configuration has it. */
      label: z.string(),
      kind: z.enum(['github', 'oidc']),
    }),
  ),
});
export type SignInChoices = z.infer<typeof signInChoices>;

export const beginSignInRequest = z.strictObject({
  /** A path of the pages, to go on at. */
  returnTo: z
    .string()
    .max(500)
    .regex(/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/, 'a path of this server, such as /sessions')
    .default('/'),
});
export type BeginSignInRequest = z.infer<typeof beginSignInRequest>;

/** Where the browser is to go now. */
export const signInStart = z.object({ url: z.string() });
export type SignInStart = z.infer<typeof signInStart>;

export const linkedAccount = z.object({
  id: z.string(),
  /** By what the server offers it; `null`: it does not any more. */
  provider: z.string().nullable(),
  /** The service, as people know it. */
  service: z.string(),
  /** A login or an address there. */
  account: z.string(),
  createdAt: z.iso.datetime(),
  lastUsedAt: z.iso.datetime().nullable(),
});
export type LinkedAccount = z.infer<typeof linkedAccount>;
