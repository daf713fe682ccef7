import { gatewayPort, type AgentSessionSpec } from '../../protocol/runner-api.ts';
import type { Dependencies } from '../dependencies.ts';
import type { AgentDefinition } from '../ports/agent.ts';
import { guestHome, guestRunnerPath } from '../ports/sandbox-provider.ts';
import type { SessionRecord } from '../ports/store.ts';

const initializeTimeoutMs = 120_000;
const guestNodePath = `${guestRunnerPath}/bin/node`;

export function agentOf(deps: Pick<Dependencies, 'agents'>, session: SessionRecord): AgentDefinition {
  return session.agentArgv === null
    ? deps.agents.get(session.agent)
    : deps.agents.custom(session.agent, session.agentArgv);
}

/** How the runner is to start the session's agent: the agent's own needs, then what the session asks for. */
export function agentSpecOf(
  deps: Pick<Dependencies, 'gateway'>,
  session: SessionRecord,
  agent: AgentDefinition,
  layerPath: string,
): AgentSessionSpec {
  const { model, ...config } = session.config;
  const launch = agent.launch({
    layerPath,
    nodePath: guestNodePath,
    home: guestHome,
    cwd: session.cwd,
    gatewayUrl: `http://127.0.0.1:${gatewayPort}`,
    placeholderKey: deps.gateway.placeholderKey(session.id),
    model: typeof model === 'string' ? model : null,
    permissions: session.permissions === 'allow' ? 'allow' : 'ask',
  });
  return {
    agent: session.agent,
    argv: launch.argv,
    env: { ...session.env, ...launch.env },
    cwd: session.cwd,
    files: launch.files,
    mcpServers: session.mcpServers,
    acpSessionId: session.acpSessionId,
    forkOf: session.forkAcpSessionId,
    modeId: session.modeId ?? launch.defaultModeId,
    config: { ...launch.config, ...config },
    permissionTimeoutMs: session.permissionTimeoutMs,
    initializeTimeoutMs,
  };
}
