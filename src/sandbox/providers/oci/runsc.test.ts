import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, sandboxProviderSuite, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { openHarness, type OciHarness } from './oci.fixture.ts';

const wanted = asksFor('runsc');
if (!wanted) process.stdout.write('skipped: gVisor, which BERTH_TEST_PROVIDERS=runsc asks for\n');

/** Kills of each operation; more in a long run. */
const rounds = Number(process.env['BERTH_TEST_ROUNDS'] ?? 3);
/** About how long each takes. */
const longestMs = 600;

const open = () => openHarness({ runtime: 'runsc' });

describe.skipIf(!wanted)('runsc', () => {
  sandboxProviderSuite('oci/gVisor', open);
  sandboxPersistenceSuite('oci/gVisor', open);
  sandboxNetworkSuite('oci/gVisor', ({ namespace }) => openHarness({ runtime: 'runsc', fullNetwork: { namespace } }));
  sandboxFailureSuite('oci/gVisor', (directory) => openHarness({ runtime: 'runsc' }, directory));

  describe('what fails', () => {
    let harness: OciHarness;
    let provider: SandboxProvider;
    let spec: ReturnType<typeof specFor>;

    beforeAll(async () => {
      harness = await open();
      provider = harness.provider;
      await provider.list(options());
      spec = specFor(provider, 'default');
      await provider.create(spec, options());
    });

    afterAll(async () => {
      await provider.destroy(spec.id, options());
      const left = await harness.leftovers(spec.id);
      await harness.cleanup();
      expect(left).toEqual([]);
    });

    test('a checkpoint that fails leaves the processes running, or paused', async () => {
      await shell(provider, spec, 'echo kept > /dev/shm/note');
      const listen = `require('net').createServer().listen('/berth/run/other.sock')`;
      const script = `/berth/runner/bin/node -e "${listen}" > /dev/null 2>&1 & echo $! > listener; while [ ! -S /berth/run/other.sock ]; do sleep 0.05; done`;
      await shell(provider, spec, script);
      const refused = () =>
        expect(provider.hibernate(spec.id, options())).rejects.toMatchObject({
          code: 'upstream_failed',
          message: expect.stringContaining('bound host socket') as string,
        });
      await refused();
      expect((await provider.get(spec.id, options())).status).toBe('running');
      expect((await shell(provider, spec, 'cat /dev/shm/note')).stdout).toBe('kept');
      await provider.pause(spec.id, options());
      await refused();
      expect((await provider.get(spec.id, options())).status).toBe('paused');
      await provider.resume(spec.id, options());
      await shell(provider, spec, 'kill $(cat listener)');
      await provider.hibernate(spec.id, options());
      expect(await provider.wake(spec.id, options())).toMatchObject({ restored: 'memory', reason: null });
      expect((await shell(provider, spec, 'cat /dev/shm/note')).stdout).toBe('kept');
    });

    test('an image that cannot be restored is said, and it starts from its disk', async () => {
      await shell(provider, spec, 'echo kept > note');
      for (const [damage, reason] of [
        [(path: string) => truncate(path, 1000), /the image is damaged/],
        [async (path: string) => writeFile(path, Buffer.alloc((await stat(path)).size, 7)), /^restore failed: /],
      ] as const) {
        await provider.hibernate(spec.id, options());
        await damage(join(harness.dataDir, 'storage/images', spec.id, 'checkpoint.img'));
        const woken = await provider.wake(spec.id, options());
        expect(woken).toMatchObject({ restored: 'disk' });
        expect(woken.reason).toMatch(reason);
        expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
      }
    });

    test.each(['hibernate', 'wake'] as const)('Berth killed in the middle of %s', async (operation) => {
      const fixture = join(import.meta.dirname, 'persistence.fixture.ts');
      await shell(provider, spec, 'echo kept > /dev/shm/note');
      for (let round = 0; round < rounds; round++) {
        await provider.close();
        const berth = spawn(process.execPath, [fixture, harness.dataDir, spec.id, operation, 'runsc'], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await once(berth.stdout, 'data');
        await sleep(((round + 1) / (rounds + 1)) * longestMs);
        berth.kill('SIGKILL');
        await once(berth, 'close');
        provider = await harness.restart();
        const { status } = await provider.get(spec.id, options());
        expect(['running', 'hibernated']).toContain(status);
        if (status === 'hibernated') {
          expect(await provider.wake(spec.id, options())).toMatchObject({ restored: 'memory', reason: null });
        }
        expect((await shell(provider, spec, 'cat /dev/shm/note')).stdout).toBe('kept');
      }
    });
  });
});
