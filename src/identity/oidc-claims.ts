import { z } from 'zod';

/** What Berth reads of a person's claims. */
export interface IdentityClaims {
  subject: string;
  /** Address and verification from one and the same document. */
  email: { address: string; verified: boolean } | null;
  username: string | null;
  name: string | null;
  groups: readonly string[];
}

/** What a person can write himself, so whatever is in it. */
const text = z.string().trim().min(1).max(320).optional().catch(undefined);
const profile = z.object({
  email: text,
  // Some providers send the word.
  email_verified: z.union([z.boolean(), z.enum(['true', 'false']).transform((word) => word === 'true')]).catch(false),
  preferred_username: text,
  name: text,
});
const groupNames = z.union([z.string().transform((one) => [one]), z.array(z.string())]).optional().catch(undefined);
const maxSubject = 255;
const maxName = 100;

/** Of the ID token, then of the user info that belongs to it: which of the two holds a claim differs between providers. */
export function readClaims(
  token: Readonly<Record<string, unknown>> & { sub: string },
  userInfo: Readonly<Record<string, unknown>>,
  groupsClaim: string,
): IdentityClaims {
  const sources = [profile.parse(token), profile.parse(userInfo)];
  const withEmail = sources.find(({ email }) => email !== undefined);
  const first = <K extends 'preferred_username' | 'name'>(key: K) => sources.map((each) => each[key]).find((value) => value !== undefined);
  const groupsOf = (claims: Readonly<Record<string, unknown>>) =>
    Object.hasOwn(claims, groupsClaim) ? groupNames.parse(claims[groupsClaim]) : undefined;
  return {
    // OpenID Connect Core 1.0, section 2: at most 255 characters.
    subject: z.string().min(1).max(maxSubject).parse(token.sub),
    email: withEmail?.email === undefined ? null : { address: withEmail.email, verified: withEmail.email_verified },
    username: first('preferred_username') ?? null,
    name: first('name')?.slice(0, maxName) ?? null,
    groups: groupsOf(token) ?? groupsOf(userInfo) ?? [],
  };
}
