import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { RunnerClient } from '../src/core/ports/runner.ts';
import type { SandboxLimits, SandboxProvider } from '../src/core/ports/sandbox-provider.ts';
import { guarded } from '../src/sandbox/guarded.ts';
import { runtimeStateDir } from '../src/sandbox/installation-paths.ts';
import { installationId } from '../src/sandbox/instance-lock.ts';
import { driverDirectory, machineRunDir } from '../src/sandbox/microvm/driver/installation.ts';
import { loadProvider } from '../src/sandbox/registry.ts';
import { createRunnerClient } from '../src/sandbox/runner-client/index.ts';
import { releaseStorage } from '../src/sandbox/storage/release.ts';
import { removable } from './when-cut.ts';

export const limits: SandboxLimits = { cpus: 1, memoryBytes: 2 ** 30, pids: 512, diskBytes: 2 ** 30 };
export const silent = pino({ level: 'silent' });
export const runnerToken = 'token-of-the-benchmark';
/** No operation here takes a tenth of it. */
const operationTimeoutMs = 120_000;

export const soon = () => AbortSignal.timeout(operationTimeoutMs);

/** A provider as the server wires it, on a data directory of its own. */
export interface BenchHost {
  dataDir: string;
  provider: SandboxProvider;
  template: string;
  /** Of every sandbox: those of the benchmark that the provider enforces. */
  limits: SandboxLimits;
  /** A sandbox's id, unique in this run. */
  nextId(): string;
  create(id: string, more?: Partial<SandboxLimits>): Promise<RunnerClient>;
  /** To the runner of one that runs. */
  connect(id: string): RunnerClient;
  destroy(id: string): Promise<void>;
  /** Of `oci` alone: the `config.json` that a running sandbox was started with. */
  runtimeConfig(id: string): Promise<RuntimeConfig>;
  /** Of `oci` alone: `--root` of the runtime that it uses. */
  runtimeRoot: string;
  remove(): Promise<void>;
}

export interface RuntimeConfig {
  process: { args: string[] };
  linux: { cgroupsPath: string };
}

export interface HostChoice {
  provider: string;
  options: Readonly<Record<string, unknown>>;
  /** Default: the host's own `/usr`. */
  template?: string;
  /** Puts templates into the data directory's `templates`. */
  placeTemplates?: (directory: string) => Promise<void>;
}

export const plainOci: HostChoice = { provider: 'oci', options: { runtime: 'runc' } };

export async function openHost(choice: HostChoice = plainOci): Promise<BenchHost> {
  const dataDir = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  await choice.placeTemplates?.(join(dataDir, 'templates'));
  const driver = await loadProvider(choice.provider, { dataDir, logger: silent }, choice.options);
  const provider = guarded(driver, { logger: silent });
  // Mounts the storage and chooses the runtime.
  await provider.list({ signal: soon() });
  const template = choice.template ?? 'default';
  const enforced = { cpus: 0, memoryBytes: 0, pids: 0, diskBytes: 0 };
  for (const name of provider.capabilities.limits) enforced[name] = limits[name];
  let count = 0;
  const ids = new Set<string>();
  const host: BenchHost = {
    dataDir,
    provider,
    template,
    limits: enforced,
    runtimeRoot: join(runtimeStateDir(await installationId(dataDir)), 'runc'),
    nextId: () => `sbx_bench${(count += 1)}`,
    async create(id, more = {}) {
      ids.add(id);
      const own = { network: 'none' as const, labels: {}, runnerToken, env: {} };
      await provider.create({ id, template, limits: { ...enforced, ...more }, ...own }, { signal: soon() });
      return host.connect(id);
    },
    connect: (id) => createRunnerClient({ dial: (port, options) => provider.dial(id, port, options), token: runnerToken }),
    async destroy(id) {
      await provider.destroy(id, { signal: soon() });
      ids.delete(id);
    },
    async runtimeConfig(id) {
      return JSON.parse(await readFile(join(dataDir, 'sandboxes', id, 'config.json'), 'utf8')) as RuntimeConfig;
    },
    remove: removable(async () => {
      for (const id of ids) await host.destroy(id);
      await provider.close();
      await releaseStorage(dataDir);
      const machines = driverDirectory(dataDir, choice.provider);
      if (existsSync(join(machines, 'installation'))) await rm(machineRunDir(choice.provider, await installationId(machines)), { recursive: true, force: true });
      await rm(dataDir, { recursive: true, force: true });
    }),
  };
  return host;
}
