import { access, chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentDefinition, AgentInstaller } from '../core/ports/agent.ts';
import type { Logger } from '../core/ports/logger.ts';
import { guestAgentsPath } from '../core/ports/sandbox-provider.ts';
import { createSharedWork } from '../core/shared-work.ts';
import { BerthError } from '../protocol/errors.ts';
import { withInstallLock } from './install-lock.ts';
import { runNpm } from './npm.ts';

export interface AgentInstallerOptions {
  /** On the host, shown read-only in sandboxes at `guestAgentsPath`. Owned by the installer. */
  dir: string;
  /** How npm is started. Default `['npm']`, found on the PATH. */
  npmCommand?: readonly string[];
  /** What npm's environment is picked from: PATH, HOME, proxies, certificates and npm's own settings. */
  env: Readonly<Record<string, string | undefined>>;
  logger: Logger;
}

/**
 * Installs agents with npm, pinned, into `dir/<agent>-<version>/`. A layer is written beside and
 * renamed when it is whole, so whatever has its final name can be used, after a crash too. No
 * package's install script is run: the agents bring their binaries as platform packages.
 */
export function createAgentInstaller(options: AgentInstallerOptions): AgentInstaller {
  const { dir, env, logger } = options;
  const npmCommand = options.npmCommand ?? ['npm'];
  const agents = new Map<string, AgentDefinition>();

  const work = createSharedWork<void>(async (layer, onProgress, signal) => {
    const agent = agents.get(layer)!;
    await mkdir(dir, { recursive: true, mode: 0o755 });
    await withInstallLock(join(dir, `.${layer}.lock`), onProgress, signal, async () => {
      if (await exists(join(dir, layer))) return;
      await removeLeftovers(dir, layer);
      await install(agent, layer, onProgress, signal);
    });
  });

  async function install(
    agent: AgentDefinition,
    layer: string,
    onProgress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const what = `${agent.title} ${agent.packages[0]!.version}`;
    const startedAt = performance.now();
    onProgress(`installing ${what} from the npm registry`);
    const beside = await mkdtemp(join(dir, `.${layer}.installing-`));
    try {
      await chmod(beside, 0o755);
      const dependencies = Object.fromEntries(agent.packages.map(({ name, version }) => [name, version]));
      await writeFile(join(beside, 'package.json'), JSON.stringify({ private: true, dependencies }, null, 2));
      await runNpm({ command: npmCommand, cwd: beside, env, what, onProgress, signal });
      await checkLayer(agent, beside);
      await rename(beside, join(dir, layer));
    } catch (error) {
      await rm(beside, { recursive: true, force: true });
      throw error;
    }
    const durationMs = Math.round(performance.now() - startedAt);
    logger.info({ agent: agent.name, layer, durationMs }, 'agent installed');
    onProgress(`installed ${what} in ${Math.round(durationMs / 1000)} s`);
  }

  return {
    async isInstalled(agent) {
      return agent.packages.length === 0 || (await exists(join(dir, layerName(agent))));
    },
    async ensure(agent, onProgress, signal) {
      if (agent.packages.length === 0) return guestAgentsPath;
      const layer = layerName(agent);
      if (!(await exists(join(dir, layer)))) {
        agents.set(layer, agent);
        await work.run(layer, onProgress, signal);
      }
      return `${guestAgentsPath}/${layer}`;
    },
  };
}

function layerName(agent: AgentDefinition): string {
  return `${agent.name}-${agent.packages.map(({ version }) => version).join('-')}`;
}

/**
 * npm leaves out an optional package that it could not fetch and reports success, so the versions
 * and the files that the agent is started from are looked for.
 */
async function checkLayer(agent: AgentDefinition, layerDir: string): Promise<void> {
  for (const { name, version } of agent.packages) {
    const manifest = JSON.parse(await readFile(join(layerDir, 'node_modules', name, 'package.json'), 'utf8')) as {
      version?: unknown;
    };
    if (manifest.version !== version) {
      throw new BerthError(
        'upstream_failed',
        `npm installed ${name} ${String(manifest.version)} in place of ${version}`,
      );
    }
  }
  const { argv } = agent.launch({
    layerPath: layerDir,
    nodePath: 'node',
    home: '/',
    cwd: '/',
    gatewayUrl: '',
    placeholderKey: '',
    model: null,
    permissions: 'ask',
  });
  for (const path of argv.filter((argument) => argument.startsWith(`${layerDir}/`))) {
    if (!(await exists(path))) {
      throw new BerthError(
        'upstream_failed',
        `npm left out ${path.slice(layerDir.length + 1)}: the platform package of ${agent.title} could not be fetched or there is none for ${process.platform} ${process.arch}`,
      );
    }
  }
}

/** What a killed install left; nobody works on it, for the lock is held. */
async function removeLeftovers(dir: string, layer: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.startsWith(`.${layer}.installing-`)) await rm(join(dir, name), { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
