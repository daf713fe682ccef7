import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { RunnerClient } from '../src/core/ports/runner.ts';
import type { SandboxLimits, SandboxProvider } from '../src/core/ports/sandbox-provider.ts';
import { guarded } from '../src/sandbox/guarded.ts';
import { runtimeStateDir } from '../src/sandbox/installation-paths.ts';
import { installationId } from '../src/sandbox/instance-lock.ts';
import { loadProvider } from '../src/sandbox/registry.ts';
import { createRunnerClient } from '../src/sandbox/runner-client/index.ts';
import { releaseStorage } from '../src/sandbox/storage/release.ts';

export const limits: SandboxLimits = { cpus: 1, memoryBytes: 2 ** 30, pids: 512, diskBytes: 2 ** 30 };
export const silent = pino({ level: 'silent' });
export const runnerToken = 'token-of-the-benchmark';
/** No operation here takes a tenth of it. */
const operationTimeoutMs = 120_000;

export const soon = () => AbortSignal.timeout(operationTimeoutMs);

/** The local provider as the server wires it, on a data directory of its own. */
export interface BenchHost {
  dataDir: string;
  provider: SandboxProvider;
  /** A sandbox's id, unique in this run. */
  nextId(): string;
  create(id: string, more?: Partial<SandboxLimits>): Promise<RunnerClient>;
  destroy(id: string): Promise<void>;
  /** The `config.json` that a running sandbox was started with. */
  runtimeConfig(id: string): Promise<RuntimeConfig>;
  /** `--root` of the runtime that the provider uses. */
  runtimeRoot: string;
  remove(): Promise<void>;
}

export interface RuntimeConfig {
  process: { args: string[] };
  linux: { cgroupsPath: string };
}

export async function openHost(): Promise<BenchHost> {
  const dataDir = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  const driver = await loadProvider('oci', { dataDir, logger: silent }, { runtime: 'runc' });
  const provider = guarded(driver, { logger: silent });
  // Mounts the storage and chooses the runtime.
  await provider.list({ signal: soon() });
  let count = 0;
  const ids = new Set<string>();
  const host: BenchHost = {
    dataDir,
    provider,
    runtimeRoot: join(runtimeStateDir(await installationId(dataDir)), 'runc'),
    nextId: () => `sbx_bench${(count += 1)}`,
    async create(id, more = {}) {
      ids.add(id);
      const own = { network: 'none' as const, labels: {}, runnerToken, env: {} };
      await provider.create({ id, template: 'default', limits: { ...limits, ...more }, ...own }, { signal: soon() });
      return createRunnerClient({ dial: (port, options) => provider.dial(id, port, options), token: runnerToken });
    },
    async destroy(id) {
      await provider.destroy(id, { signal: soon() });
      ids.delete(id);
    },
    async runtimeConfig(id) {
      return JSON.parse(await readFile(join(dataDir, 'sandboxes', id, 'config.json'), 'utf8')) as RuntimeConfig;
    },
    async remove() {
      for (const id of ids) await host.destroy(id);
      await provider.close();
      await releaseStorage(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return host;
}
