import { BerthError } from '../../protocol/errors.ts';
import type { AgentSessionSpec } from '../../protocol/runner-api.ts';
import type { AcpClient } from './acp-client.ts';

/** What an agent said of itself in its answer to `initialize`. */
export interface AgentDescription {
  /** ACP `agentCapabilities`, as sent. */
  capabilities: Record<string, unknown>;
  version: string | null;
  authMethods: string[];
}

export interface Conversation {
  acpSessionId: string;
  resumed: 'new' | 'load' | 'resume';
  /** The agent's answer, with its modes and options. */
  answer: Record<string, unknown>;
}

const protocolVersion = 1;

/**
 * The first request. `fs` is not offered although we answer it: the agent sees the same disk itself, and
 * without the detour its own limits and permissions apply. Throws `agent_failed`.
 */
export async function initialize(client: AcpClient, timeoutMs: number): Promise<AgentDescription> {
  const answer = await client.request(
    'initialize',
    {
      protocolVersion,
      clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
      clientInfo: { name: 'berth', title: 'Berth', version: '1' },
    },
    timeoutMs,
  );
  if (answer['protocolVersion'] !== protocolVersion) {
    const message = `the agent speaks ACP version ${String(answer['protocolVersion'])}, not ${protocolVersion}`;
    throw new BerthError('agent_failed', message);
  }
  const version = recordOf(answer['agentInfo'])['version'];
  const authMethods = Array.isArray(answer['authMethods']) ? answer['authMethods'] : [];
  return {
    capabilities: recordOf(answer['agentCapabilities']),
    version: typeof version === 'string' ? version : null,
    authMethods: authMethods.map((method) => String(recordOf(method)['id'])),
  };
}

/**
 * Takes the conversation up again where the agent can (`session/resume` replays nothing and is preferred to
 * `session/load`), else begins a new one and says so through `warn`. Throws `unsupported` for an
 * MCP server that the agent cannot reach, `agent_failed`.
 */
export async function openConversation(
  client: AcpClient,
  agent: AgentDescription,
  spec: AgentSessionSpec,
  acpSessionId: string | null,
  warn: (message: string) => void,
): Promise<Conversation> {
  requireMcpSupport(agent, spec);
  const where = { cwd: spec.cwd, mcpServers: spec.mcpServers };
  for (const resumed of acpSessionId === null ? [] : waysBack(agent)) {
    try {
      const params = { sessionId: acpSessionId, ...where };
      const answer = await client.request(`session/${resumed}`, params, spec.initializeTimeoutMs);
      return { acpSessionId: acpSessionId as string, resumed, answer };
    } catch (error) {
      // Only an agent's own refusal says that the conversation cannot be had; its death says nothing.
      if (!(error instanceof BerthError) || error.context['rpcCode'] === undefined) throw error;
      warn(`session/${resumed} of ${acpSessionId} failed: ${error.message}`);
    }
  }
  if (acpSessionId !== null) warn(`the conversation ${acpSessionId} could not be taken up again; a new one begins`);
  const answer = await client.request('session/new', where, spec.initializeTimeoutMs);
  if (typeof answer['sessionId'] !== 'string') throw new BerthError('agent_failed', 'session/new gave no sessionId');
  return { acpSessionId: answer['sessionId'], resumed: 'new', answer };
}

function waysBack({ capabilities }: AgentDescription): ('load' | 'resume')[] {
  const canResume = isOffered(recordOf(capabilities['sessionCapabilities'])['resume']);
  return [
    ...(canResume ? (['resume'] as const) : []),
    ...(capabilities['loadSession'] === true ? (['load'] as const) : []),
  ];
}

function requireMcpSupport({ capabilities }: AgentDescription, spec: AgentSessionSpec): void {
  const mcp = recordOf(capabilities['mcpCapabilities']);
  for (const [i, server] of spec.mcpServers.entries()) {
    if (!('type' in server) || mcp[server.type] === true) continue;
    throw new BerthError('unsupported', `the agent cannot use MCP servers over ${server.type}`, {
      field: `mcpServers.${i}.type`,
    });
  }
}

/** A capability that is an object is offered when it is there. */
function isOffered(value: unknown): boolean {
  return value === true || (typeof value === 'object' && value !== null);
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
