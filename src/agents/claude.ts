import type { AgentDefinition, LaunchContext } from '../core/ports/agent.ts';

/**
 * Claude Code through its ACP adapter; the npm package brings the native binary for this machine.
 * Mode `default` is set because the adapter's own default, `auto`, never asks a person.
 */
export const claude: AgentDefinition = {
  name: 'claude',
  title: 'Claude Code',
  packages: [{ name: '@agentclientprotocol/claude-agent-acp', version: '0.101.0' }],
  model: 'anthropic',
  launch(context) {
    return {
      argv: [context.nodePath, `${context.layerPath}/node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js`],
      env: {
        ANTHROPIC_BASE_URL: `${context.gatewayUrl}/anthropic`,
        ANTHROPIC_API_KEY: context.placeholderKey,
        ...(context.model === null ? {} : { ANTHROPIC_MODEL: context.model }),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        CLAUDE_CODE_ENABLE_PROMPT_SUGGESTION: 'false',
        DISABLE_AUTOUPDATER: '1',
        DISABLE_TELEMETRY: '1',
        DISABLE_ERROR_REPORTING: '1',
        // Together these bring ACP `plan` updates.
        CLAUDE_CODE_ENABLE_TODO_TOOLS: '1',
        CLAUDE_CODE_ENABLE_TASKS: '0',
      },
      files: [
        {
          path: `${context.home}/.claude/settings.json`,
          content: json({
            permissions: { defaultMode: modeOf(context) },
            // A transcript is all that a conversation is resumed from; by default it is deleted after 30 days.
            cleanupPeriodDays: 3650,
          }),
          overwrite: false,
        },
      ],
      defaultModeId: modeOf(context),
      config: {},
    };
  },
};

/** The sandbox is the limit when nobody is there to ask; Claude Code accepts this only from an ordinary user. */
function modeOf({ permissions }: LaunchContext): string {
  return permissions === 'allow' ? 'bypassPermissions' : 'default';
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
