import { z } from 'zod';
import { identityProviderName } from '../../../protocol/sign-in-api.ts';
import { handle, userRole } from '../../../protocol/users-api.ts';

/** What somebody becomes who is let in by a rule, the first time. */
const becomes = { role: userRole.default('member'), teams: z.array(handle).max(20).default([]) };
const name = z.string().trim().min(1).max(200);

/** GitHub's accounts may be named anew and the old name taken by another; the number stays. */
const githubRule = z.union([
  z.strictObject({ account: name, ...becomes }),
  z.strictObject({ id: z.number().int().positive(), ...becomes }),
  z.strictObject({ organization: z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,99})$/, 'the name of an organisation'), ...becomes }),
]);
export type GithubRule = z.infer<typeof githubRule>;

const oidcRule = z.union([
  /** Of an address that the provider has verified. */
  z.strictObject({ domain: z.string().toLowerCase().regex(/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/, 'a domain'), ...becomes }),
  z.strictObject({ email: z.email().toLowerCase(), ...becomes }),
  z.strictObject({ group: name, ...becomes }),
  z.strictObject({ subject: name, ...becomes }),
]);
export type OidcRule = z.infer<typeof oidcRule>;

const oidcSettings = z.strictObject({
  name: identityProviderName.refine((given) => given !== 'github', 'github is GitHub'),
  label: z.string().trim().min(1).max(50),
  issuer: z
    .url({ protocol: /^https?$/ })
    .refine((url) => url.startsWith('https:') || isLoopback(url), 'must be https, but on this machine itself'),
  clientId: name,
  /** Absent: a public client, which PKCE alone protects. */
  clientSecretFile: z.string().startsWith('/').optional(),
  /** Asked for beside `openid`. */
  scopes: z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/, 'a scope')).max(20).default(['email', 'profile']),
  /** The claim that holds the names of groups. */
  groupsClaim: z.string().min(1).max(200).default('groups'),
  allow: z.array(oidcRule).max(200).default([]),
});
export type OidcSettings = z.infer<typeof oidcSettings>;

/** By what people may sign in beside links and tokens. The first rule that fits counts; without one only linked accounts do. */
export const signInSettings = z.strictObject({
  github: z.strictObject({ allow: z.array(githubRule).max(200).default([]) }).optional(),
  oidc: z
    .array(oidcSettings)
    .max(10)
    .default([])
    .refine((all) => new Set(all.map((each) => each.name)).size === all.length, 'two have the same name'),
});
export type SignInSettings = z.infer<typeof signInSettings>;

function isLoopback(url: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}
