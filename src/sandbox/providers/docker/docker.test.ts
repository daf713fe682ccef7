import { afterAll, beforeAll } from 'vitest';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import { startDockerd, type Dockerd } from '../../../../test/fixtures/dockerd.ts';
import { openHarness } from './docker.fixture.ts';

let dockerd: Dockerd;

beforeAll(async () => {
  dockerd = await startDockerd();
});

afterAll(() => dockerd.stop());

sandboxProviderSuite('docker', () => openHarness(dockerd));
sandboxPersistenceSuite('docker', () => openHarness(dockerd));
