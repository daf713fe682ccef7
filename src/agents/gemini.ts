import type { AgentDefinition } from '../core/ports/agent.ts';

/** Gemini CLI, which speaks ACP itself. Its mode `default` asks before edits and commands. */
export const gemini: AgentDefinition = {
  name: 'gemini',
  title: 'Gemini CLI',
  packages: [{ name: '@google/gemini-cli', version: '0.61.0' }],
  model: 'gemini',
  launch(context) {
    return {
      argv: [
        context.nodePath,
        `${context.layerPath}/node_modules/@google/gemini-cli/bundle/gemini.js`,
        '--acp',
        ...(context.model === null ? [] : ['--model', context.model]),
      ],
      env: {
        GEMINI_API_KEY: context.placeholderKey,
        GOOGLE_GEMINI_BASE_URL: `${context.gatewayUrl}/gemini`,
        GEMINI_CLI_TRUST_WORKSPACE: 'true',
        GEMINI_TELEMETRY_ENABLED: 'false',
        // Without it the CLI starts itself again with more memory, and the outer one passes no signal on.
        GEMINI_CLI_NO_RELAUNCH: '1',
      },
      files: [
        {
          path: `${context.home}/.gemini/settings.json`,
          content: `${JSON.stringify(
            {
              security: {
                auth: { selectedType: 'gemini-api-key' },
                folderTrust: { enabled: false },
              },
              general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
              privacy: { usageStatisticsEnabled: false },
              telemetry: { enabled: false },
            },
            null,
            2,
          )}\n`,
          overwrite: false,
        },
      ],
      defaultModeId: context.permissions === 'allow' ? 'yolo' : 'default',
      config: {},
    };
  },
};
