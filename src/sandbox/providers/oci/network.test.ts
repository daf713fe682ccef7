import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { openHarness } from './oci.fixture.ts';

sandboxNetworkSuite('oci', ({ namespace }) => openHarness({ fullNetwork: { namespace } }));
