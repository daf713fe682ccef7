import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { Finding, SandboxProvider, SandboxSpec } from '../../src/core/ports/sandbox-provider.ts';
import { newId } from '../../src/protocol/ids.ts';
import { createBusySandbox, type BusySandbox } from './busy-sandbox.ts';
import { casesOn, noteLack, recordOutcomes, type NotOnContract } from './outcomes.ts';
import { options, shell, specFor, type ProviderHarness } from './sandbox-provider.ts';

const unsupported = { code: 'unsupported' };

/** What every driver must do about pause, hibernate, snapshot and fork, or refuse. Its capabilities say which. */
export function sandboxPersistenceSuite(name: string, open: () => Promise<ProviderHarness>, contract: NotOnContract = {}): void {
  describe(`sandbox persistence: ${name}`, () => {
    let harness: ProviderHarness;
    let provider: SandboxProvider;
    let busy: BusySandbox;
    const made = new Set<string>();
    let findings: readonly Finding[] = [];
    recordOutcomes('persistence', name, () => provider?.capabilities ?? null, () => findings, contract);
    const test = casesOn(contract);

    beforeAll(async () => {
      harness = await open();
      provider = harness.provider;
      ({ findings } = await provider.probe(options()));
      await provider.list(options());
      busy = await createBusySandbox(() => provider, harness.template, harness);
      made.add(busy.spec.id);
    });

    afterAll(async () => {
      for (const id of made) await provider.destroy(id, options());
      const left = await Promise.all([...made].map((id) => harness.leftovers(id)));
      await harness.cleanup();
      expect(left.flat()).toEqual([]);
    });

    const statusOf = async (id: string) => (await provider.get(id, options())).status;
    const can = (capability: 'pause' | 'hibernate' | 'snapshot' | 'fork') =>
      provider.capabilities[capability] !== 'none';

    /** Of a case that is about one of them alone. */
    const lacks = (capability: Parameters<typeof can>[0]) => {
      if (!can(capability)) noteLack(capability);
      return !can(capability);
    };

    function newSpec(more: Partial<SandboxSpec> = {}): SandboxSpec {
      const spec = specFor(provider, harness.template, more);
      made.add(spec.id);
      return spec;
    }

    async function make(): Promise<SandboxSpec> {
      const spec = newSpec();
      await provider.create(spec, options());
      return spec;
    }

    test('pause holds everything still, also over a restart of Berth, and resume lets it go on', async () => {
      const { id } = busy.spec;
      if (lacks('pause')) return expect(provider.pause(id, options())).rejects.toMatchObject(unsupported);
      await provider.pause(id, options());
      expect(await statusOf(id)).toBe('paused');
      const { cpuTimeMs } = await provider.stats(id, options());
      await sleep(100);
      expect((await provider.stats(id, options())).cpuTimeMs).toBe(cpuTimeMs);
      await expect(provider.dial(id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      await expect(provider.start(id, options())).rejects.toMatchObject({ code: 'conflict' });
      await provider.pause(id, options());
      provider = await harness.restart();
      expect(await statusOf(id)).toBe('paused');
      expect((await provider.resume(id, options())).status).toBe('running');
      expect((await provider.resume(id, options())).status).toBe('running');
      await busy.check();
    });

    test('a paused one can be stopped, and starts from its disk', async () => {
      if (lacks('pause')) return;
      const spec = await make();
      await shell(provider, spec, 'echo kept > note');
      await provider.pause(spec.id, options());
      await provider.stop(spec.id, options());
      expect(await statusOf(spec.id)).toBe('stopped');
      await expect(provider.pause(spec.id, options())).rejects.toMatchObject({ code: 'conflict' });
      await expect(provider.resume(spec.id, options())).rejects.toMatchObject({ code: 'conflict' });
      await provider.start(spec.id, options());
      expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
      await provider.pause(spec.id, options());
      await provider.destroy(spec.id, options());
      expect(await harness.leftovers(spec.id)).toEqual([]);
    });

    test('hibernate frees the memory; over a restart of Berth it stays; wake brings everything back', async () => {
      const { id } = busy.spec;
      if (lacks('hibernate')) return expect(provider.hibernate(id, options())).rejects.toMatchObject(unsupported);
      await provider.hibernate(id, options());
      expect(await statusOf(id)).toBe('hibernated');
      expect(await provider.stats(id, options())).toMatchObject({ memoryBytes: 0, pids: 0 });
      await expect(provider.dial(id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      for (const call of ['start', 'resume', 'pause'] as const) {
        await expect(provider[call](id, options()), call).rejects.toMatchObject({ code: 'conflict' });
      }
      await provider.hibernate(id, options());
      provider = await harness.restart();
      expect(await statusOf(id)).toBe('hibernated');
      const woken = await provider.wake(id, options());
      expect(woken).toMatchObject({ restored: 'memory', reason: null, info: { status: 'running' } });
      expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', info: { status: 'running' } });
      await busy.check();
    });

    test('again and again, from paused too, with streams open', async () => {
      if (lacks('hibernate')) return;
      const { id } = busy.spec;
      for (const first of ['pause', 'stream', null] as const) {
        const counted = await busy.count();
        if (first === 'pause' && can('pause')) await provider.pause(id, options());
        if (first === 'stream') await provider.dial(id, 3000, options());
        await provider.hibernate(id, options());
        expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', reason: null });
        expect(await busy.count()).toBeGreaterThanOrEqual(counted);
      }
      await busy.check();
    });

    test('clocks, limits and walls are the same after', async () => {
      if (lacks('hibernate')) return;
      const facts = [
        'grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status',
        'id; ulimit -n; cat /proc/self/oom_score_adj; hostname; nproc; cat /sys/class/net/lo/flags',
        'set -- /proc/[0-9]*; echo $#; set -- /proc/$$/fd/*; echo $#; cut -d" " -f2 /proc/mounts | sort',
      ].join('; ');
      const clocks = 'date +%s; cut -d. -f1 /proc/uptime';
      const fresh = await make();
      const before = await shell(provider, fresh, facts);
      const [date, uptime] = (await shell(provider, fresh, clocks)).stdout.split('\n').map(Number);
      await provider.hibernate(fresh.id, options());
      await provider.wake(fresh.id, options());
      expect((await shell(provider, fresh, facts)).stdout).toBe(before.stdout);
      const [dateAfter, uptimeAfter] = (await shell(provider, fresh, clocks)).stdout.split('\n').map(Number);
      expect(dateAfter).toBeGreaterThanOrEqual(date!);
      expect(Math.abs(Date.now() / 1000 - dateAfter!)).toBeLessThan(harness.slow ? 60 : 10);
      expect(uptimeAfter).toBeGreaterThanOrEqual(uptime!);
      await shell(provider, fresh, 'echo kept > note');
      await provider.hibernate(fresh.id, options());
      await provider.stop(fresh.id, options());
      expect(await statusOf(fresh.id)).toBe('stopped');
      expect((await provider.start(fresh.id, options())).status).toBe('running');
      expect((await shell(provider, fresh, 'cat note')).stdout).toBe('kept');
      await provider.hibernate(fresh.id, options());
      await provider.destroy(fresh.id, options());
      expect(await harness.leftovers(fresh.id)).toEqual([]);
    });

    test('an abort in the middle leaves it running or hibernated, and whole', async () => {
      if (lacks('hibernate')) return;
      const { id } = busy.spec;
      for (const afterMs of [20, 250]) {
        for (const call of ['hibernate', 'wake'] as const) {
          if (call === 'wake' && (await statusOf(id)) === 'running') await provider.hibernate(id, options());
          const stop = new AbortController();
          setTimeout(() => stop.abort(), afterMs);
          await provider[call](id, { signal: stop.signal }).catch(() => {});
          const status = await statusOf(id);
          expect(['running', 'hibernated']).toContain(status);
          if (status === 'hibernated') {
            expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', reason: null });
          }
          await busy.check();
        }
      }
    });

    test('refusals have their codes', async () => {
      const absent = newId('sandbox');
      const rejection = (capability: 'pause' | 'hibernate' | 'snapshot' | 'fork', otherwise: object) =>
        can(capability) ? otherwise : unsupported;
      for (const call of ['pause', 'resume', 'hibernate', 'wake'] as const) {
        const capability = call === 'pause' || call === 'resume' ? 'pause' : 'hibernate';
        const expected = rejection(capability, { code: 'not_found' });
        await expect(provider[call](absent, options()), call).rejects.toMatchObject(expected);
      }
      const { id } = busy.spec;
      const snapshot = (of: string, snapshotId: string, memory: boolean) =>
        expect(provider.snapshot(of, { snapshotId, memory }, options())).rejects;
      await snapshot(absent, 'snp_x', false).toMatchObject(rejection('snapshot', { code: 'not_found' }));
      await snapshot(id, '../x', false).toMatchObject({ code: 'invalid_request' });
      if (provider.capabilities.snapshot !== 'memory+disk')
        await snapshot(id, 'snp_x', true).toMatchObject(unsupported);
      const spec = specFor(provider, harness.template);
      const fork = (source: { sandboxId: string } | { snapshotId: string }, of: SandboxSpec) =>
        expect(provider.fork(source, [of], options())).rejects;
      await fork({ snapshotId: 'snp_none' }, spec).toMatchObject(rejection('fork', { code: 'not_found' }));
      await fork({ sandboxId: id }, { ...spec, id }).toMatchObject(rejection('fork', { code: 'conflict' }));
      await fork({ sandboxId: id }, { ...spec, template: 'other' }).toMatchObject(
        rejection('fork', { code: 'invalid_request', field: 'template' }),
      );
      await busy.check();
    });

    test('a snapshot stays as it was; it is listed, forked and deleted', async () => {
      if (lacks('snapshot')) return;
      const { id } = busy.spec;
      const request = { snapshotId: 'snp_one', memory: false };
      await shell(provider, busy.spec, 'echo before > note; echo deep > /tmp/outside-home');
      const taken = await provider.snapshot(id, request, options());
      expect(taken).toMatchObject({ id: 'snp_one', sandboxId: id, template: harness.template, memory: false });
      await shell(provider, busy.spec, 'echo after > note');
      expect(await provider.snapshot(id, request, options())).toMatchObject({ createdAt: taken.createdAt });
      provider = await harness.restart();
      expect((await provider.listSnapshots(options())).map((snapshot) => snapshot.id)).toEqual(['snp_one']);
      const specs = [0, 1].map(() => newSpec({ labels: { forked: 'yes' } }));
      const forks = await provider.fork({ snapshotId: 'snp_one' }, specs, options());
      expect(forks.map((info) => [info.status, info.labels])).toEqual(specs.map(() => ['running', { forked: 'yes' }]));
      await expect(provider.snapshot(specs[0]!.id, request, options())).rejects.toMatchObject({ code: 'conflict' });
      await provider.deleteSnapshot('snp_one', options());
      await provider.deleteSnapshot('snp_one', options());
      expect(await provider.listSnapshots(options())).toEqual([]);
      for (const spec of specs) {
        expect((await shell(provider, spec, 'cat note /tmp/outside-home')).stdout).toBe('before\ndeep');
      }
      await shell(provider, specs[0]!, 'echo mine > note');
      expect((await shell(provider, specs[1]!, 'cat note')).stdout).toBe('before');
      await busy.check();
      for (const spec of specs) await provider.destroy(spec.id, options());
    });

    test('forks of a live, a paused, a hibernated and a stopped one; the source stays what it is', async () => {
      if (provider.capabilities.fork !== 'live') return noteLack('fork');
      const source = await make();
      await shell(provider, source, 'echo kept > note');
      for (const prepare of [null, 'pause', 'hibernate', 'stop'] as const) {
        if (prepare !== null && prepare !== 'stop' && !can(prepare)) continue;
        if (prepare !== null) await provider[prepare](source.id, options());
        const status = await statusOf(source.id);
        const spec = newSpec();
        await provider.fork({ sandboxId: source.id }, [spec], options());
        expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
        expect(await statusOf(source.id)).toBe(status);
        await provider.destroy(spec.id, options());
      }
      await provider.destroy(source.id, options());
    });

    test('all forks or none', async () => {
      if (lacks('fork')) return;
      const [good, bad] = [newSpec(), specFor(provider, harness.template, { id: busy.spec.id })];
      const request = provider.fork({ sandboxId: busy.spec.id }, [good, bad], options());
      await expect(request).rejects.toMatchObject({ code: 'conflict' });
      await expect(provider.get(good.id, options())).rejects.toMatchObject({ code: 'not_found' });
      const stop = new AbortController();
      const two = [newSpec(), newSpec()];
      const aborted = provider.fork({ sandboxId: busy.spec.id }, two, { signal: stop.signal });
      setTimeout(() => stop.abort(), 40);
      await expect(aborted).rejects.toThrow();
      for (const { id } of [good, ...two]) expect(await harness.leftovers(id)).toEqual([]);
      expect(await statusOf(busy.spec.id)).toBe('running');
      await busy.check();
    });
  });
}
