import { readFile } from 'node:fs/promises';
import { noPolicy, placementPolicy, type PlacementPolicy } from '../core/placement/policy.ts';
import { BerthError } from '../protocol/errors.ts';

/** Reads the policy that chooses providers. Throws `invalid_request` naming what in it is wrong: a wrong policy is none. */
export async function readPlacement(file: string | null, providers: readonly string[]): Promise<PlacementPolicy> {
  if (file === null) return noPolicy;
  const refuse = (why: string, cause?: unknown) =>
    new BerthError('invalid_request', `BERTH_PLACEMENT: ${file}: ${why}`, { field: 'BERTH_PLACEMENT', cause });
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw refuse(cause instanceof SyntaxError ? `is not JSON: ${cause.message}` : 'cannot be read', cause);
  }
  const parsed = placementPolicy.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`${issue?.path.join('.') || 'the policy'}: ${issue?.message}`);
  }
  const policy = parsed.data;
  const named = [
    ...Object.keys(policy.providers).map((name) => ['providers', name] as const),
    ...(policy.default ?? []).map((name) => ['default', name] as const),
    ...policy.rules.flatMap((rule, index) => rule.providers.map((name) => [`rules.${index}.providers`, name] as const)),
  ];
  const unknown = named.find(([, name]) => !providers.includes(name));
  if (unknown !== undefined) {
    throw refuse(`${unknown[0]}: this server has no provider "${unknown[1]}"; BERTH_PROVIDERS names ${providers.join(', ')}`);
  }
  return policy;
}
