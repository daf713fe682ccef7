import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, sandboxProviderSuite, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import { startDockerd, type Dockerd } from '../../../../test/fixtures/dockerd.ts';
import { placeSmallTemplate, smallTemplate } from '../../microvm/small-template.fixture.ts';
import { openHarness } from './docker.fixture.ts';

let dockerd: Dockerd;

beforeAll(async () => {
  dockerd = await startDockerd();
});

afterAll(() => dockerd.stop());

sandboxProviderSuite('docker', () => openHarness(dockerd));
sandboxPersistenceSuite('docker', () => openHarness(dockerd));
sandboxNetworkSuite('docker', () => openHarness(dockerd));

test("a removed template's image goes with it, once no sandbox needs it; others stay", async () => {
  const harness = await openHarness(dockerd);
  const { provider, engine, dataDir } = harness;
  try {
    const templates = join(dataDir, 'templates');
    await placeSmallTemplate(templates);
    const spec = specFor(provider, smallTemplate);
    await provider.create(spec, options());
    const tags = async () => (await engine.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []).filter((tag) => tag.endsWith(`:${smallTemplate}-1`));
    const before = await tags();
    expect(before).toHaveLength(1);
    await provider.removeUnusedTemplates!(options());
    expect(await tags()).toEqual(before);
    await rm(join(templates, smallTemplate), { recursive: true });
    await provider.removeUnusedTemplates!(options());
    expect(await tags()).toEqual(before);
    await provider.destroy(spec.id, options());
    await provider.removeUnusedTemplates!(options());
    expect(await tags()).toEqual([]);
  } finally {
    await harness.cleanup();
  }
});
