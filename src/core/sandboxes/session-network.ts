import { BerthError } from '../../protocol/errors.ts';
import { networkModeOf } from '../egress/network-mode.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxInfo } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';
import { findSandbox, sandboxOf } from './records.ts';
import { sandboxSpecOf } from './sandbox-spec.ts';
import type { SessionSandboxes } from './session-sandboxes.ts';

/** How the sandbox of a session gets the network that the session's policy says. */
export interface SessionNetworks {
  /** Throws `unsupported` naming the field `policy` where its provider has no full network. */
  requireFull(session: SessionRecord): void;
  /** Makes the sandbox, if there is one, agree with the policy. Throws when that fails; the next use of it tries again. */
  apply(sessionId: string): Promise<void>;
}

const applyTimeoutMs = 60_000;

export function createSessionNetworks(deps: Dependencies, sandboxes: Pick<SessionSandboxes, 'exclusively'>): SessionNetworks {
  return {
    requireFull({ provider }) {
      if (deps.providers.of(provider).capabilities.network.includes('full')) return;
      const message = `the provider ${provider} has no full network on this host (see "berth doctor")`;
      throw new BerthError('unsupported', message, { field: 'policy' });
    },
    async apply(sessionId) {
      if (!isAwake(await sandboxOf(deps, await deps.store.read.session(sessionId)))) return;
      await sandboxes.exclusively(sessionId, async () => {
        const session = await deps.store.read.session(sessionId);
        const sandbox = await sandboxOf(deps, session);
        if (session === null || sandbox === null || sandbox.hostId !== deps.settings.hostId) return;
        const signal = AbortSignal.timeout(applyTimeoutMs);
        const info = await findSandbox(deps, sandbox, signal);
        if (info !== null) await settleNetwork(deps, session, sandbox, info, signal);
      });
    },
  };
}

/** One that sleeps gets what the policy says when it is brought up, which may have to wait for a slot. */
function isAwake(sandbox: SandboxRecord | null): boolean {
  return sandbox !== null && ['creating', 'running', 'paused'].includes(sandbox.status);
}

/** Gives or takes what differs. No-op for one that is broken: it never runs again. */
export async function settleNetwork(
  deps: Pick<Dependencies, 'providers' | 'runnerToken' | 'settings'>,
  session: SessionRecord,
  sandbox: SandboxRecord,
  info: SandboxInfo,
  signal: AbortSignal,
): Promise<void> {
  const network = networkModeOf(deps.settings.egress, session);
  if (info.status === 'broken' || network === (info.network ?? 'none')) return;
  const provider = deps.providers.of(sandbox.provider);
  const { labels } = provider.capabilities.update === 'none' ? info : sandboxSpecOf(deps, session, sandbox);
  await provider.update(sandbox.id, { labels, limits: info.limits, network }, { signal });
}
