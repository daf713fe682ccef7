import { z } from 'zod';
import { egressRule } from './egress.ts';

/**
 * Secrets of a user or a team for services that agents call. The gateway puts one into requests to the hosts that it
 * names; its value goes in, and never comes out again.
 */

export const secretName = z.string().regex(/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/, 'lower-case letters, digits, ., _ and -; at most 64');

/** Headers that say where a request goes and where it ends. */
const reserved = /^(?:host|connection|content-length|content-encoding|transfer-encoding|te|trailer|upgrade|expect|via|forwarded|keep-alive|accept-encoding|proxy-.*|x-forwarded-.*|sec-.*)$/i;

export const secretHeader = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "a header's name")
  .refine((name) => !reserved.test(name), 'this header is not for secrets');

/** Long enough that it does not occur by chance in what an upstream says. */
export const secretValue = z
  .string()
  .min(8)
  .max(8192)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])$/, 'printable ASCII without a space at either end');

export const secretTemplate = z
  .string()
  .max(200)
  .regex(/^[\x20-\x7e]*$/, 'printable ASCII')
  .refine((text) => text.split(/\{(?:value|base64)\}/).length === 2, 'holds {value}, or {base64} for it in base64, once')
  .refine((text) => text.trim() === text, 'no space at either end');

export const secretHosts = z
  .array(egressRule.refine((rule) => !rule.startsWith('*.'), 'a whole name: what is below a host may be others\''))
  .min(1)
  .max(20);

export const setSecretRequest = z.strictObject({
  /** `host`, or `host:port` for another port than 443. */
  hosts: secretHosts,
  header: secretHeader.default('Authorization'),
  /** What the header says. */
  template: secretTemplate.default('Bearer {value}'),
  value: secretValue,
});
export type SetSecretRequest = z.infer<typeof setSecretRequest>;
export type SetSecretInput = z.input<typeof setSecretRequest>;

export const secretView = z.object({
  name: z.string(),
  /** Absent: the user's own. */
  team: z.string().optional(),
  hosts: z.array(z.string()),
  header: z.string(),
  template: z.string(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type SecretView = z.infer<typeof secretView>;

export const secretList = z.object({ secrets: z.array(secretView) });
