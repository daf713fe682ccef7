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
  resumed: 'new' | 'load' | 'resume' | 'fork';
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
 * `session/load`), else begins a new one and says so through `warn`. A forked sandbox has a copy of its source's
 * conversation: it is forked by the agent (`session/fork`, so far unstable in ACP), or taken up under the same id. Throws `unsupported` for an
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
  const known = acpSessionId ?? spec.forkOf;
  const ways = known === null ? [] : acpSessionId === null ? waysToFork(agent) : waysBack(agent);
  for (const resumed of ways) {
    try {
      const params = { sessionId: known, ...where };
      const answer = await client.request(`session/${resumed}`, params, spec.initializeTimeoutMs);
      const id = resumed === 'fork' ? requireSessionId(answer, resumed) : (known as string);
      return { acpSessionId: id, resumed, answer };
    } catch (error) {
      // Only an agent's own refusal says that the conversation cannot be had; its death says nothing.
      if (!(error instanceof BerthError) || error.context['rpcCode'] === undefined) throw error;
      warn(`session/${resumed} of ${known} failed: ${error.message}`);
    }
  }
  if (known !== null) warn(`the conversation ${known} could not be taken up again; a new one begins`);
  const answer = await client.request('session/new', where, spec.initializeTimeoutMs);
  return { acpSessionId: requireSessionId(answer, 'new'), resumed: 'new', answer };
}

function requireSessionId(answer: Record<string, unknown>, method: 'new' | 'fork'): string {
  const id = answer['sessionId'];
  if (typeof id !== 'string') throw new BerthError('agent_failed', `session/${method} gave no sessionId`);
  return id;
}

function waysToFork(agent: AgentDescription): ('fork' | 'load' | 'resume')[] {
  const canFork = isOffered(recordOf(agent.capabilities['sessionCapabilities'])['fork']);
  return [...(canFork ? (['fork'] as const) : []), ...waysBack(agent)];
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
