import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { options, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import { startDockerd } from '../../../../test/fixtures/dockerd.ts';
import { placeSmallTemplate, smallTemplate } from '../../microvm/small-template.fixture.ts';
import { openHarness } from './docker.fixture.ts';
import { dockerSuites } from './suites.fixture.ts';

const dockerd = dockerSuites('docker', (parent) => startDockerd({}, parent));

test("a removed template's image goes with it, once no sandbox needs it; others stay", async () => {
  const harness = await openHarness(dockerd());
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

test('what was forked from a copy is no leftover of the copying: it outlives a restart', async () => {
  const harness = await openHarness(dockerd());
  let { provider } = harness;
  try {
    const [source, fork] = [specFor(provider, 'default'), specFor(provider, 'default')];
    await provider.create(source, options());
    await provider.fork({ sandboxId: source.id }, [fork], options());
    provider = await harness.restart();
    expect((await provider.list(options())).map(({ id, status }) => [id, status]).toSorted()).toEqual(
      [source, fork].map(({ id }) => [id, 'running']).toSorted(),
    );
    for (const { id } of [source, fork]) await provider.destroy(id, options());
  } finally {
    await harness.cleanup();
  }
});
