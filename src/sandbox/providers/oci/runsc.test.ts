import { mkdir, readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { mustRun } from '../../run-command.ts';
import { openHarness, type OciHarness } from './oci.fixture.ts';

const wanted = (process.env['BERTH_TEST_PROVIDERS'] ?? '').split(',').includes('runsc');
if (!wanted) process.stdout.write('skipped: gVisor, which BERTH_TEST_PROVIDERS=runsc asks for\n');

const open = () => openHarness({ runtime: 'runsc' });

describe.skipIf(!wanted)('runsc', () => {
  sandboxPersistenceSuite('oci with runsc', open);

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

    const images = () => join(harness.dataDir, 'storage/images');

    test('a checkpoint that fails leaves the processes running', async () => {
      await shell(provider, spec, 'echo kept > /dev/shm/note');
      const place = join(images(), `${spec.id}.new`);
      // Nothing can be written there.
      await mkdir(place, { recursive: true });
      await mustRun('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', images()]);
      try {
        await expect(provider.hibernate(spec.id, options())).rejects.toThrow();
      } finally {
        await mustRun('umount', [images()]);
        await rm(place, { recursive: true, force: true });
      }
      expect((await provider.get(spec.id, options())).status).toBe('running');
      expect((await shell(provider, spec, 'cat /dev/shm/note')).stdout).toBe('kept');
    });

    test('an image that is damaged is said, and it starts from its disk', async () => {
      await shell(provider, spec, 'echo kept > note');
      await provider.hibernate(spec.id, options());
      const image = join(images(), spec.id);
      expect(await readdir(image)).toContain('checkpoint.img');
      await truncate(join(image, 'checkpoint.img'), 1000);
      expect(await provider.wake(spec.id, options())).toMatchObject({ restored: 'disk', reason: 'the image is damaged' });
      expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
    });
  });
});
