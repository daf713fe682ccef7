import type { SandboxCapabilities, SandboxLimits } from './ports/sandbox-provider.ts';

/** A limit that a provider cannot enforce is not promised: 0 says so, and `berth doctor` why. */
export function enforceable(
  limits: SandboxLimits,
  { limits: enforced }: Pick<SandboxCapabilities, 'limits'>,
): SandboxLimits {
  const cut = { ...limits };
  for (const name of Object.keys(limits) as (keyof SandboxLimits)[]) if (!enforced.includes(name)) cut[name] = 0;
  return cut;
}
