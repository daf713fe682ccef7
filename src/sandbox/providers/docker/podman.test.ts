import { afterAll, beforeAll, describe } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import type { TestEngine } from '../../../../test/fixtures/engine-process.ts';
import { startPodman } from '../../../../test/fixtures/podman.ts';
import { openHarness } from './docker.fixture.ts';

const wanted = asksFor('podman');
if (!wanted) process.stdout.write('skipped: the suites on Podman, which BERTH_TEST_PROVIDERS=podman asks for\n');

describe.skipIf(!wanted)('Podman', () => {
  let podman: TestEngine;

  beforeAll(async () => {
    podman = await startPodman();
  });

  afterAll(() => podman.stop());

  sandboxProviderSuite('docker/Podman', () => openHarness(podman));
  sandboxPersistenceSuite('docker/Podman', () => openHarness(podman));
});
