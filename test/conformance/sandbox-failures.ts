import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { Finding, SandboxProvider, SandboxSpec } from '../../src/core/ports/sandbox-provider.ts';
import { openSmallDisk, type SmallDisk } from '../fixtures/small-disk.ts';
import { casesOn, recordOutcomes, type NotOnContract } from './outcomes.ts';
import { options, patienceMs, runnerOf, shell, specFor, type ProviderHarness } from './sandbox-provider.ts';

export interface FailingHarness extends ProviderHarness {
  /** Takes what room the backend has set aside for itself, which a full disk leaves it; resolves to what gives it back. */
  fillOwn?(): Promise<() => Promise<void>>;
  /** What the provider works through, where there is such a thing. */
  backend?: {
    /** SIGKILL. */
    kill(): Promise<void>;
    /** Again, with what it had. */
    start(): Promise<void>;
  };
}

/**
 * What every driver must do when what it stands on fails. `open` keeps everything of its backend, and its data, in `directory`,
 * on a disk that `findDisk` gives and that is removed afterwards.
 */
export function sandboxFailureSuite(
  name: string,
  open: (directory: string) => Promise<FailingHarness>,
  contract: NotOnContract = {},
  findDisk: () => Promise<SmallDisk> = openSmallDisk,
): void {
  describe(`sandbox failures: ${name}`, () => {
    let disk: SmallDisk;
    let harness: FailingHarness;
    let provider: SandboxProvider;
    const made = new Set<string>();
    let findings: readonly Finding[] = [];
    recordOutcomes('failures', name, () => provider?.capabilities ?? null, () => findings, contract);
    const test = casesOn(contract);

    beforeAll(async () => {
      disk = await findDisk();
      harness = await open(disk.path);
      provider = harness.provider;
      ({ findings } = await provider.probe(options()));
      await provider.list(options());
    });

    afterAll(async () => {
      await disk?.empty();
      for (const id of made) await provider.destroy(id, options());
      const left = await Promise.all([...made].map((id) => harness.leftovers(id)));
      await harness?.cleanup();
      await disk?.remove();
      expect(left.flat()).toEqual([]);
    });

    const statusOf = async (id: string) => (await provider.get(id, options())).status;

    function newSpec(): SandboxSpec {
      const spec = specFor(provider, harness.template);
      made.add(spec.id);
      return spec;
    }

    async function make(): Promise<SandboxSpec> {
      const spec = newSpec();
      await provider.create(spec, options());
      await shell(provider, spec, 'echo kept > note; sync');
      return spec;
    }

    test('a full disk: what needs room says so and leaves nothing, the rest goes on, and with room again all works', async () => {
      const [spec, other, more] = [await make(), await make(), newSpec()];
      const { hibernate, fork } = provider.capabilities;
      await disk.fill();
      const emptyOwn = await harness.fillOwn?.();
      try {
        const full = { code: 'resource_exhausted' };
        await expect(provider.create(more, options())).rejects.toMatchObject(full);
        if (fork !== 'none') await expect(provider.fork({ sandboxId: spec.id }, [more], options())).rejects.toMatchObject(full);
        expect(await harness.leftovers(more.id)).toEqual([]);
        if (hibernate !== 'none') await expect(provider.hibernate(spec.id, options())).rejects.toMatchObject(full);
        expect(await statusOf(spec.id)).toBe('running');
        expect((await shell(provider, spec, 'cat note && echo more >> note && cat note')).stdout).toBe('kept\nkept\nmore');
        await provider.destroy(other.id, options());
        expect(await harness.leftovers(other.id)).toEqual([]);
      } finally {
        await emptyOwn?.();
        await disk.empty();
      }
      if (hibernate !== 'none') {
        await provider.hibernate(spec.id, options());
        expect(await provider.wake(spec.id, options())).toMatchObject({ restored: 'memory', reason: null });
      }
      await provider.create(more, options());
      for (const { id } of [spec, more]) await provider.destroy(id, options());
    });

    test('what it runs in is killed: a command under way says so, and what was on the disk is there again', async () => {
      const spec = await make();
      const runner = runnerOf(provider, spec);
      try {
        const ended = runner.exec({ argv: ['/bin/sh', '-c', 'echo begun > begun; sleep 300'], timeoutMs: 300_000 }, options(patienceMs * 2).signal).catch((error: unknown) => error);
        await shell(provider, spec, 'until [ -s begun ]; do sleep 0.1; done');
        await (harness.backend?.kill() ?? harness.killInside(spec.id));
        if (harness.backend !== undefined) {
          // Nobody knows how it is with the sandboxes, so nothing is said of them.
          const calls = [provider.get(spec.id, options()), provider.list(options()), provider.create(newSpec(), options())];
          await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject({ code: 'unavailable' })));
          await harness.backend.start();
        }
        // An engine may leave them be, and find them again.
        if (harness.backend === undefined || (await statusOf(spec.id)) !== 'running') {
          expect(await ended).toMatchObject({ code: expect.stringMatching(/^(sandbox_lost|upstream_failed)$/) as string });
          await expect.poll(() => statusOf(spec.id), { timeout: patienceMs }).toBe('stopped');
          expect((await provider.start(spec.id, options())).status).toBe('running');
        }
      } finally {
        runner.close();
      }
      expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
      await provider.destroy(spec.id, options());
    });
  });
}
