/**
 * An agent as Berth knows it: how to start it over ACP in any sandbox. Secrets are never part of a
 * definition: model traffic goes to `gatewayUrl` with the session's placeholder key.
 */
export interface AgentDefinition {
  /** `claude`, `codex`, `gemini`, `opencode`, `shell`, ... */
  name: string;
  title: string;
  /** npm packages, pinned; installed once on the host into a read-only layer. Empty for built-ins. */
  packages: readonly { name: string; version: string }[];
  /** Whether it needs a model upstream, and which wire format the gateway must speak to it. */
  model: 'anthropic' | 'openai' | 'gemini' | 'none';
  launch(context: LaunchContext): AgentLaunch;
}

export interface LaunchContext {
  /** Root of this agent's installed layer inside the sandbox: has `node_modules/`. */
  layerPath: string;
  nodePath: string;
  home: string;
  cwd: string;
  /** `http://127.0.0.1:8079` */
  gatewayUrl: string;
  /** The session's placeholder credential: worthless outside its own gateway channel. */
  placeholderKey: string;
  model: string | null;
  /** `allow`: the agent is not to ask before what stays inside the sandbox, for nobody is there to answer. */
  permissions: 'ask' | 'allow';
}

export interface AgentLaunch {
  argv: string[];
  env: Record<string, string>;
  files: { path: string; content: string; overwrite: boolean }[];
  /** Set after the conversation is there, when the caller gave none. */
  defaultModeId: string | null;
  config: Record<string, string | boolean>;
}

export interface AgentCatalog {
  list(): readonly AgentDefinition[];
  /** Throws `unknown_agent` naming the field and the known agents. */
  get(name: string): AgentDefinition;
  /** Any other ACP agent, by the command line that starts it. */
  custom(name: string, argv: readonly string[]): AgentDefinition;
}

/** Installs agent layers on first use. Concurrent calls for one agent share one installation. */
export interface AgentInstaller {
  /** Whether its layer is there already. */
  isInstalled(agent: AgentDefinition): Promise<boolean>;
  /**
   * Resolves to the layer's path inside a sandbox. `onProgress` tells what is going on.
   * Throws `upstream_failed` when the registry refuses; a broken install leaves nothing.
   */
  ensure(agent: AgentDefinition, onProgress: (message: string) => void, signal: AbortSignal): Promise<string>;
}
