import type { AgentDefinition } from '../core/ports/agent.ts';

/**
 * Codex through Zed's adapter: one native binary, which needs glibc, OpenSSL 3 and zlib from the
 * template. Everything is set by `-c` overrides, so that no file in HOME has to be kept in step.
 *
 * Codex's own sandbox cannot nest in ours and is off; with `approval_policy = "untrusted"` a person
 * is asked for every edit and for every command that is not known to only read.
 */
export const codex: AgentDefinition = {
  name: 'codex',
  title: 'Codex',
  packages: [{ name: '@zed-industries/codex-acp', version: '0.16.0' }],
  model: 'openai',
  launch(context) {
    const overrides: Record<string, string> = {
      model_provider: toml('berth'),
      'model_providers.berth.name': toml('Berth gateway'),
      'model_providers.berth.base_url': toml(`${context.gatewayUrl}/openai/v1`),
      'model_providers.berth.wire_api': toml('responses'),
      'model_providers.berth.env_key': toml('OPENAI_API_KEY'),
      ...(context.model === null ? {} : { model: toml(context.model) }),
      approval_policy: toml(context.permissions === 'allow' ? 'never' : 'untrusted'),
      sandbox_mode: toml('danger-full-access'),
      // An untrusted directory would override the two lines above.
      projects: `{ ${toml(context.cwd)} = { trust_level = "trusted" } }`,
      check_for_update_on_startup: 'false',
      'analytics.enabled': 'false',
      'features.plugins': 'false',
    };
    return {
      // The package's own launcher is a script that waits for the binary and forwards no signal.
      argv: [
        `${context.layerPath}/node_modules/@zed-industries/codex-acp-linux-${process.arch}/bin/codex-acp`,
        ...Object.entries(overrides).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
      ],
      env: { OPENAI_API_KEY: context.placeholderKey, NO_BROWSER: '1' },
      files: [],
      defaultModeId: null,
      config: {},
    };
  },
};

/** A TOML basic string; JSON's escapes are a subset of TOML's. */
function toml(value: string): string {
  return JSON.stringify(value);
}
