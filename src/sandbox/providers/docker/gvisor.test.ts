import { afterAll, beforeAll, describe } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import { startDockerd, type Dockerd } from '../../../../test/fixtures/dockerd.ts';
import { findFetchedRunsc } from '../../gvisor/fetched-runsc.ts';
import { openHarness } from './docker.fixture.ts';

const wanted = asksFor('docker-runsc');
if (!wanted) process.stdout.write("skipped: gVisor as Docker's runtime, which BERTH_TEST_PROVIDERS=docker-runsc asks for\n");

describe.skipIf(!wanted)('gVisor in Docker', () => {
  let dockerd: Dockerd;

  beforeAll(async () => {
    const path = await findFetchedRunsc();
    if (path === null) throw new Error('gVisor is not fetched: scripts/fetch-runsc.ts');
    dockerd = await startDockerd({ runsc: { path, runtimeArgs: ['--platform=systrap', '--network=none', '--host-uds=create', '--overlay2=none'] } });
  });

  afterAll(() => dockerd.stop());

  sandboxProviderSuite('docker/gVisor', () => openHarness(dockerd, { runtime: 'runsc' }));
  sandboxPersistenceSuite('docker/gVisor', () => openHarness(dockerd, { runtime: 'runsc' }));
});
