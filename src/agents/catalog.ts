import type { AgentCatalog, AgentDefinition } from '../core/ports/agent.ts';
import { BerthError } from '../protocol/errors.ts';
import { claude } from './claude.ts';
import { codex } from './codex.ts';
import { customAgent } from './custom-agent.ts';
import { gemini } from './gemini.ts';
import { opencode } from './opencode.ts';
import { shell } from './shell.ts';

/** The agents Berth knows; an unknown one can still be started by command line, see `customAgent`. */
export function createAgentCatalog(
  agents: readonly AgentDefinition[] = [claude, codex, gemini, opencode, shell],
): AgentCatalog {
  return {
    list: () => agents,
    custom: customAgent,
    get(name) {
      const agent = agents.find((candidate) => candidate.name === name);
      if (agent !== undefined) return agent;
      const known = agents.map((candidate) => candidate.name);
      throw new BerthError(
        'unknown_agent',
        `no agent is called "${name.slice(0, 100)}"; known are ${known.join(', ')}`,
        {
          field: 'agent',
          context: { known },
        },
      );
    },
  };
}
