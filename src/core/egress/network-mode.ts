import type { EgressPolicy } from '../../protocol/egress.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { NetworkMode } from '../ports/sandbox-provider.ts';
import type { SessionRecord } from '../ports/store.ts';

/** What the operator says of where sessions may connect to. */
export interface EgressSettings {
  /** Of a session that has no policy of its own. */
  defaultPolicy: EgressPolicy;
  /** Whether a policy may give a sandbox a network of its own. */
  allowFullNetwork: boolean;
}

/** What the sandbox of a session is to have. A policy from a time when it was allowed says `full` in vain. */
export function networkModeOf(settings: EgressSettings, { egress }: Pick<SessionRecord, 'egress'>): NetworkMode {
  const { presets } = egress ?? settings.defaultPolicy;
  return settings.allowFullNetwork && presets.includes('full') ? 'full' : 'none';
}

/** Throws `forbidden` naming the field for a policy that the operator has not allowed. */
export function requireAllowedPolicy(settings: EgressSettings, policy: EgressPolicy | null, field: string): void {
  if (settings.allowFullNetwork || policy?.presets.includes('full') !== true) return;
  throw new BerthError('forbidden', 'this server gives no sandbox a full network; its operator can: BERTH_ALLOW_FULL_NETWORK=true', { field });
}
