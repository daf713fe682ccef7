import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { options, patienceMs, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import { openSmallDisk, type SmallDisk } from '../../../../test/fixtures/small-disk.ts';
import type { SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { freeBytesAt } from '../../free-bytes.ts';
import { openHarness, type OciHarness } from './oci.fixture.ts';

sandboxFailureSuite('oci', (directory) => openHarness({}, directory));

const mebibyte = 1024 ** 2;

describe('the image that the disks are in', () => {
  const room = { leastBytes: 256 * mebibyte, wantedBytes: 384 * mebibyte };
  let disk: SmallDisk;
  let harness: OciHarness;
  let spec: SandboxSpec;

  beforeAll(async () => {
    disk = await openSmallDisk();
    harness = await openHarness({ room }, disk.path);
    spec = specFor(harness.provider, 'default');
    spec.limits.diskBytes = 4096 * mebibyte;
    await harness.provider.create(spec, options());
  });
  afterAll(async () => {
    await disk?.empty();
    await harness?.provider.destroy(spec.id, options());
    await harness?.cleanup();
    await disk?.remove();
  });

  const run = async (script: string) => (await shell(harness.provider, spec, script)).stdout;
  const image = () => statSync(join(harness.dataDir, 'storage.btrfs'));
  const freeBytes = () => freeBytesAt(join(harness.dataDir, 'storage'));

  test('has its blocks from the start, grows before it is full, and gives back what sandboxes no longer need', async () => {
    const before = image().size;
    expect(image().blocks * 512).toBeGreaterThanOrEqual(before);
    expect(before).toBeLessThan(1024 * mebibyte);
    // As fast as a build writes, give or take.
    await run('for i in $(seq 24); do head -c 50000000 /dev/zero > big-$i || echo failed; sync; sleep 0.2; done');
    const large = image().size;
    // What is free once they are gone is clearly more than three times what is wanted.
    expect(large).toBeGreaterThan(before + 512 * mebibyte);
    expect(image().blocks * 512).toBeGreaterThanOrEqual(large);
    expect(await freeBytes()).toBeGreaterThan(room.leastBytes / 2);
    expect(await run('ls big-* | wc -l; rm big-*; sync')).toBe('24');
    // What is deleted is free once the file system has written that down.
    await expect.poll(() => image().size, { timeout: patienceMs * 6, interval: 500 }).toBeLessThan(large - 512 * mebibyte);
    expect(image().blocks * 512).toBeGreaterThanOrEqual(image().size);
  });

  test("a full disk of the machine's: no write of a sandbox is lost, it is told when its own is full, and goes on when there is room", async () => {
    await run('echo kept > note; sync');
    await disk.fill(2 * mebibyte);
    const script = 'for i in $(seq 30); do head -c 100000000 /dev/zero > big-$i || exit 1; sync; done';
    const { exitCode, stderr } = await shell(harness.provider, spec, script);
    expect(`${exitCode} ${stderr}`).toMatch(/^1 .*No space left on device/);
    expect(await run('cat note; cksum big-1 | wc -l')).toBe('kept\n1');
    await disk.empty();
    await expect.poll(freeBytes, { timeout: patienceMs }).toBeGreaterThan(room.leastBytes);
    expect(await run('head -c 100000000 /dev/zero > more && sync && echo written; rm big-*; cat note')).toBe('written\nkept');
  });
});
