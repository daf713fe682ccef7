import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { openHarness, type OciHarness } from './oci.fixture.ts';

sandboxPersistenceSuite('oci', openHarness);

describe('oci: copies of disks', () => {
  let harness: OciHarness;
  let provider: SandboxProvider;
  let spec: SandboxSpec;

  beforeAll(async () => {
    harness = await openHarness();
    provider = harness.provider;
    await provider.list(options());
    spec = specFor(provider, 'default');
    await provider.create(spec, options());
  });

  afterAll(async () => {
    await provider.destroy(spec.id, options());
    expect(await harness.leftovers(spec.id)).toEqual([]);
    await harness.cleanup();
  });

  test('blocks are shared', async () => {
    await shell(provider, spec, 'head -c 67108864 /dev/urandom > big; sync big');
    const forked = { ...spec, id: specFor(provider, 'default').id };
    await provider.fork({ sandboxId: spec.id }, [forked], options());
    expect((await shell(provider, forked, 'cksum < big')).stdout).toBe(
      (await shell(provider, spec, 'cksum < big')).stdout,
    );
    const snapshot = await provider.snapshot(forked.id, { snapshotId: 'snp_big', memory: false }, options());
    expect(snapshot.sizeBytes).toBeLessThan(32 * 2 ** 20);
    await provider.deleteSnapshot('snp_big', options());
    await provider.destroy(forked.id, options());
    expect(await harness.leftovers(forked.id)).toEqual([]);
  });

  test('what a crash left half made is removed when it is opened, and a sandbox it held goes on', async () => {
    await provider.snapshot(spec.id, { snapshotId: 'snp_whole', memory: false }, options());
    const [snapshots, sandboxes] = [join(harness.dataDir, 'storage/snapshots'), join(harness.dataDir, 'sandboxes')];
    await mkdir(join(snapshots, '.snp_half.new/disk'), { recursive: true });
    await mkdir(join(sandboxes, 'sbx_half'));
    await writeFile(join(sandboxes, 'sbx_half/creating'), 'fork');
    await provider.pause(spec.id, options());
    await writeFile(join(sandboxes, spec.id, 'held'), '');
    provider = await harness.restart();
    expect((await provider.listSnapshots(options())).map((snapshot) => snapshot.id)).toEqual(['snp_whole']);
    expect(await readdir(snapshots)).toEqual(['snp_whole']);
    expect((await provider.list(options())).map((info) => [info.id, info.status])).toEqual([[spec.id, 'running']]);
    expect((await shell(provider, spec, 'echo on')).stdout).toBe('on');
    await provider.deleteSnapshot('snp_whole', options());
  });
});

describe('oci: storage without reflinks', () => {
  test('snapshots and forks are refused', async () => {
    const harness = await openHarness({ storage: 'directory' });
    const { provider } = harness;
    try {
      await provider.list(options());
      if (provider.capabilities.snapshot !== 'none') {
        process.stdout.write('skipped: the temporary directory is on a file system with reflinks\n');
        return;
      }
      const spec = specFor(provider, 'default');
      const request = { snapshotId: 'snp_x', memory: false };
      await expect(provider.snapshot(spec.id, request, options())).rejects.toMatchObject({ code: 'unsupported' });
      await expect(provider.fork({ snapshotId: 'snp_x' }, [spec], options())).rejects.toMatchObject({
        code: 'unsupported',
      });
      expect(await provider.listSnapshots(options())).toEqual([]);
    } finally {
      await harness.cleanup();
    }
  });
});
