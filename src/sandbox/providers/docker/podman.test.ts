import { describe } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { startPodman } from '../../../../test/fixtures/podman.ts';
import { dockerSuites } from './suites.fixture.ts';

const wanted = asksFor('podman');
if (!wanted) process.stdout.write('skipped: the suites on Podman, which BERTH_TEST_PROVIDERS=podman asks for\n');

describe.skipIf(!wanted)('Podman', () => void dockerSuites('docker/Podman', startPodman));
