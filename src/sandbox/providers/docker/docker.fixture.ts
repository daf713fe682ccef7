import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import type { ProviderHarness } from '../../../../test/conformance/sandbox-provider.ts';
import type { TestEngine } from '../../../../test/fixtures/engine-process.ts';
import { processesNaming } from '../../../../test/fixtures/processes-naming.ts';
import { createDockerProvider, type DockerOptions } from './docker.ts';
import { installationId } from '../../instance-lock.ts';

export interface DockerHarness extends ProviderHarness {
  dataDir: string;
  engine: Docker;
}

/** An installation of its own on an engine that others may use too. */
export async function openHarness({ socketPath }: Pick<TestEngine, 'socketPath'>, more: Partial<DockerOptions> = {}, parent = tmpdir()): Promise<DockerHarness> {
  const dataDir = await mkdtemp(join(parent, 'berth-docker-'));
  const create = () => createDockerProvider({ dataDir, socketPath, stopGraceMs: 1000, ...more });
  const engine = new Docker({ socketPath });
  let provider = create();
  return {
    dataDir,
    engine,
    provider,
    template: 'default',
    async restart() {
      await provider.close();
      provider = create();
      return provider;
    },
    async killInside(id) {
      const [container] = await engine.listContainers({ filters: { label: [`berth.sandbox=${id}`] } });
      await engine.getContainer(container!.Id).kill();
    },
    leftovers: (id) => leftovers(engine, dataDir, id),
    async cleanup() {
      await provider.close();
      const copies = await copiesOf(engine, dataDir);
      await rm(dataDir, { recursive: true, force: true });
      if (copies.length > 0) throw new Error(`images are left: ${copies.join(', ')}`);
    },
  };
}

/** Whatever the engine and this machine still have of a sandbox. */
async function leftovers(engine: Docker, dataDir: string, id: string): Promise<string[]> {
  const found: string[] = [];
  for (const { Names } of await engine.listContainers({ all: true })) {
    for (const name of Names) if (name.includes(id)) found.push(`container ${name}`);
  }
  const { Volumes } = await engine.listVolumes();
  for (const { Name } of Volumes ?? []) if (Name.includes(id)) found.push(`volume ${Name}`);
  const helpers = await engine.listContainers({ all: true, filters: { label: ['berth.helper'] } });
  for (const { Id, Names, Labels } of helpers) {
    // What is made from a copy has its labels.
    if (!Names.some((name) => name.endsWith(`-${Labels['berth.sandbox']}`))) found.push(`helper ${Id}`);
  }
  const sandboxes = join(dataDir, 'docker/sandboxes');
  for (const name of existsSync(sandboxes) ? await readdir(sandboxes) : []) if (name === id) found.push(`record ${name}`);
  for (const { pid, command } of await processesNaming(id)) {
    // What Podman has beside each container ends a moment after that.
    const watches = /^[^\0]*\b(?:conmon|podman)\0/.test(command);
    const deadline = performance.now() + 10_000;
    while (watches && existsSync(`/proc/${pid}`) && performance.now() < deadline) await sleep(20);
    if (existsSync(`/proc/${pid}`)) found.push(`process ${pid}`);
  }
  return found;
}

/** Copies of sandboxes that no sandbox needs any more must be gone with them. */
async function copiesOf(engine: Docker, dataDir: string): Promise<string[]> {
  if (!existsSync(join(dataDir, 'installation'))) return [];
  const label = [`berth.copy-installation=${await installationId(dataDir)}`];
  return (await engine.listImages({ all: true, filters: { label } })).map(({ Id }) => Id);
}

