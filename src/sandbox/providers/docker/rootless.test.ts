import { afterAll, beforeAll, describe } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import type { TestEngine } from '../../../../test/fixtures/engine-process.ts';
import { startRemappedDockerd, startRootlessDockerd, startRootlessPodman } from '../../../../test/fixtures/rootless/index.ts';
import { openHarness } from './docker.fixture.ts';

const wanted = asksFor('rootless');
if (!wanted) process.stdout.write('skipped: the suites on rootless engines, which BERTH_TEST_PROVIDERS=rootless asks for\n');

const engines = [
  ['docker/rootless-Podman', startRootlessPodman],
  ['docker/rootless', startRootlessDockerd],
  ['docker/userns-remap', startRemappedDockerd],
] as const;

describe.skipIf(!wanted)('rootless', () => {
  describe.each(engines)('%s', (name, start) => {
    let engine: TestEngine;

    beforeAll(async () => {
      engine = await start();
    });

    afterAll(() => engine.stop());

    sandboxProviderSuite(name, () => openHarness(engine));
    sandboxPersistenceSuite(name, () => openHarness(engine));
  });
});
