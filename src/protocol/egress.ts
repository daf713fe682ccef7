import { z } from 'zod';

/**
 * Where a session may connect to. But for `full` nothing is reached without the gateway, and the gateway connects only to
 * what a preset or a rule names, and never to a private address, whatever the name says.
 */

/**
 * `packages`: package registries. `git`: code hosts, the session's own repository's included. `open`: every public host. `full`: the
 * same, and beside the gateway a network of the sandbox's own, for any protocol; where the operator allows it.
 */
export const egressPreset = z.enum(['packages', 'git', 'open', 'full']);
export type EgressPreset = z.infer<typeof egressPreset>;

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const rulePattern = new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*(?::[1-9][0-9]{0,4})?$`);

/** `host`, `*.host` (below it, not itself), either with `:port`; without one the ports 80 and 443. */
export const egressRule = z
  .string()
  .max(260)
  .transform((text) => text.trim().toLowerCase())
  .refine((text) => rulePattern.test(text), 'a host such as example.org, *.example.org or example.org:8443')
  .refine((text) => Number(text.split(':')[1] ?? 1) <= 65_535, 'a port up to 65535');

export const egressPolicy = z.strictObject({
  /** None: only what `allow` names. */
  presets: z.array(egressPreset).max(egressPreset.options.length),
  allow: z.array(egressRule).max(200),
});
export type EgressPolicy = z.infer<typeof egressPolicy>;

/** What was decided about one host, told once however often it was asked for. */
export const egressDecision = z.object({
  host: z.string(),
  port: z.number().int(),
  allowed: z.boolean(),
  /** The preset or rule that allowed it, or why it was refused. */
  reason: z.string(),
  count: z.number().int().positive(),
  firstAt: z.iso.datetime(),
  lastAt: z.iso.datetime(),
});
export type EgressDecision = z.infer<typeof egressDecision>;

export const egressView = z.object({
  policy: egressPolicy,
  /** The server's default, not the session's own. */
  isDefault: z.boolean(),
  /** Latest first. */
  decisions: z.array(egressDecision),
});
export type EgressView = z.infer<typeof egressView>;

/** One of any session's. */
export const egressEntry = egressDecision.extend({
  sessionId: z.string(),
  /** Refused, and its session's policy would allow it now. */
  allowedSince: z.boolean(),
});
export type EgressEntry = z.infer<typeof egressEntry>;

export const egressQuery = z.object({
  session: z.string().min(1).max(100).optional(),
  /** What the host's name has in it. */
  host: z.string().regex(/^[\w.:-]{1,253}$/, 'a part of a host\'s name').optional(),
  verdict: z.enum(['allowed', 'refused']).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
});
export type EgressQuery = Partial<z.infer<typeof egressQuery>>;

export const allowEgressRequest = z.strictObject({ rule: egressRule });

/** `none`, or presets and rules with commas: `packages,git,*.example.org`. */
export function parseEgressPolicy(text: string): EgressPolicy {
  const entries = text.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '' && entry !== 'none');
  const isPreset = (entry: string): entry is EgressPreset => egressPreset.safeParse(entry).success;
  return egressPolicy.parse({
    presets: entries.filter(isPreset),
    allow: entries.filter((entry) => !isPreset(entry)),
  });
}
