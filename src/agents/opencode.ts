import type { AgentDefinition } from '../core/ports/agent.ts';

/** Served when the caller names none; opencode has no default for a provider it does not know. */
const defaultModel = 'gpt-5.1';

/** opencode, which speaks ACP itself; its native binary comes in a package for this machine. */
export const opencode: AgentDefinition = {
  name: 'opencode',
  title: 'opencode',
  packages: [{ name: 'opencode-ai', version: '1.18.33' }],
  model: 'openai',
  launch(context) {
    const model = context.model ?? defaultModel;
    const answer = context.permissions;
    const config = {
      $schema: 'https://opencode.ai/config.json',
      autoupdate: false,
      share: 'disabled',
      model: `berth/${model}`,
      small_model: `berth/${model}`,
      enabled_providers: ['berth'],
      provider: {
        berth: {
          name: 'Berth gateway',
          npm: '@ai-sdk/openai-compatible',
          options: { baseURL: `${context.gatewayUrl}/openai/v1`, apiKey: '{env:OPENAI_API_KEY}' },
          models: { [model]: { name: model } },
        },
      },
      permission: { edit: answer, bash: answer, webfetch: answer },
    };
    return {
      argv: [`${context.layerPath}/node_modules/opencode-linux-${process.arch}/bin/opencode`, 'acp'],
      env: {
        OPENAI_API_KEY: context.placeholderKey,
        OPENCODE_CONFIG_CONTENT: JSON.stringify(config),
        OPENCODE_DISABLE_AUTOUPDATE: '1',
        OPENCODE_DISABLE_MODELS_FETCH: '1',
        OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
        OPENCODE_DISABLE_SHARE: '1',
        // It installs plugin packages into HOME otherwise.
        npm_config_offline: 'true',
      },
      files: [],
      defaultModeId: null,
      config: {},
    };
  },
};
