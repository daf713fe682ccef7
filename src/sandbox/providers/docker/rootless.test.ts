import { describe } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { startRemappedDockerd, startRootlessDockerd, startRootlessPodman } from '../../../../test/fixtures/rootless/index.ts';
import { dockerSuites } from './suites.fixture.ts';

const wanted = asksFor('rootless');
if (!wanted) process.stdout.write('skipped: the suites on rootless engines, which BERTH_TEST_PROVIDERS=rootless asks for\n');

const engines = [
  ['docker/rootless-Podman', startRootlessPodman, false],
  ['docker/rootless', startRootlessDockerd, false],
  ['docker/userns-remap', startRemappedDockerd, true],
] as const;

describe.skipIf(!wanted)('rootless', () => {
  describe.each(engines)('%s', (name, start, killable) => void dockerSuites(name, start, { killable }));
});
