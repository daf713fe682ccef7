import { afterAll } from 'vitest';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import { createSharedHarness } from './qemu.fixture.ts';

const shared = createSharedHarness();
afterAll(() => shared.remove());

sandboxProviderSuite('qemu', () => shared.open());
sandboxPersistenceSuite('qemu', () => shared.open());
