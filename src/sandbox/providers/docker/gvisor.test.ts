import { describe } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { startDockerd } from '../../../../test/fixtures/dockerd.ts';
import { findFetchedRunsc } from '../../gvisor/fetched-runsc.ts';
import { dockerSuites } from './suites.fixture.ts';

const wanted = asksFor('docker-runsc');
if (!wanted) process.stdout.write("skipped: gVisor as Docker's runtime, which BERTH_TEST_PROVIDERS=docker-runsc asks for\n");

const runtimeArgs = ['--platform=systrap', '--network=none', '--host-uds=create', '--overlay2=none'];

describe.skipIf(!wanted)('gVisor in Docker', () => {
  const start = async (parent?: string) => {
    const path = await findFetchedRunsc();
    if (path === null) throw new Error('gVisor is not fetched: scripts/fetch-runsc.ts');
    return startDockerd({ runsc: { path, runtimeArgs } }, parent);
  };
  dockerSuites('docker/gVisor', start, { runtime: 'runsc' });
});
