import { networkModeOf } from '../egress/network-mode.ts';
import { proxyEnv } from '../egress/proxy-env.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxSpec } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';

/** What the provider is to make for a session. */
export function sandboxSpecOf(
  deps: Pick<Dependencies, 'runnerToken' | 'settings'>,
  session: Pick<SessionRecord, 'id' | 'egress'>,
  sandbox: Pick<SandboxRecord, 'id' | 'template' | 'limits'>,
): SandboxSpec {
  return {
    id: sandbox.id,
    template: sandbox.template,
    limits: sandbox.limits,
    network: networkModeOf(deps.settings.egress, session),
    labels: { session: session.id },
    runnerToken: deps.runnerToken(sandbox.id),
    env: proxyEnv,
  };
}
