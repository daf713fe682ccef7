import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { openHarness } from './oci.fixture.ts';

sandboxFailureSuite('oci', (directory) => openHarness({}, directory));
