import type { AgentDefinition } from '../core/ports/agent.ts';
import { BerthError } from '../protocol/errors.ts';

/**
 * Any other ACP agent, by the command line that starts it in the sandbox. It gets the gateway's
 * addresses and its placeholder under the names that most clients read; what else it needs is in
 * the session's environment or in the template.
 */
export function customAgent(name: string, argv: readonly string[]): AgentDefinition {
  if (argv.length === 0 || argv[0] === '') {
    throw new BerthError('invalid_request', 'the command line of an agent has at least a program', {
      field: 'agentCommand',
    });
  }
  return {
    name,
    title: name,
    packages: [],
    model: 'none',
    launch(context) {
      const { gatewayUrl, placeholderKey } = context;
      return {
        argv: [...argv],
        env: {
          ANTHROPIC_BASE_URL: `${gatewayUrl}/anthropic`,
          ANTHROPIC_API_KEY: placeholderKey,
          OPENAI_BASE_URL: `${gatewayUrl}/openai/v1`,
          OPENAI_API_KEY: placeholderKey,
          GOOGLE_GEMINI_BASE_URL: `${gatewayUrl}/gemini`,
          GEMINI_API_KEY: placeholderKey,
        },
        files: [],
        defaultModeId: null,
        config: {},
      };
    },
  };
}
