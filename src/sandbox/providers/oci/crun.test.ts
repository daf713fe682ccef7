import { describe, expect, test } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import { detectCgroups } from '../../host/cgroups.ts';
import { chooseRuntime } from '../../host/runtimes.ts';
import { openHarness } from './oci.fixture.ts';

const wanted = asksFor('crun');
const { mode } = await detectCgroups();
const reason = wanted
  ? `this process sees ${mode} cgroups: start it by test/fixtures/cgroup-v2/run.sh`
  : 'BERTH_TEST_PROVIDERS=crun asks for it (make test-crun)';
const skipped = !wanted || mode !== 'v2';
if (skipped) process.stdout.write(`skipped: crun with cgroup v2; ${reason}\n`);

const open = () => openHarness({ runtime: 'crun' });

describe.skipIf(skipped)('crun with cgroup v2', () => {
  test('it is what is chosen there, unless something is in its way', async () => {
    const chosen = await chooseRuntime('v2', null, async () => null);
    expect(chosen).toMatchObject({ chosen: { name: 'crun' }, reason: expect.stringContaining('cgroup v2') as string });
    const other = await chooseRuntime('v2', null, async () => 'a reason');
    expect(other).toMatchObject({ chosen: { name: 'runc' }, reason: expect.stringContaining('a reason') as string });
  });

  sandboxProviderSuite('oci/crun', open);
  sandboxPersistenceSuite('oci/crun', open);
  sandboxNetworkSuite('oci/crun', ({ namespace }) => openHarness({ runtime: 'crun', fullNetwork: { namespace } }));
  sandboxFailureSuite('oci/crun', (directory) => openHarness({ runtime: 'crun' }, directory));
});
