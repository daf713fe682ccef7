import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import type { RunnerClient } from '../../src/core/ports/runner.ts';
import {
  guestHome,
  guestObjectsPath,
  guestUser,
  type Finding,
  type SandboxLimits,
  type SandboxProvider,
  type SandboxSpec,
} from '../../src/core/ports/sandbox-provider.ts';
import { newId } from '../../src/protocol/ids.ts';
import type { Logger } from '../../src/core/ports/logger.ts';
import { guarded } from '../../src/sandbox/guarded.ts';
import { createRunnerClient } from '../../src/sandbox/runner-client/index.ts';
import { casesOn, noteLack, recordOutcomes, type NotOnContract } from './outcomes.ts';
import { insideCases } from './sandbox-inside.ts';

export interface ProviderHarness {
  provider: SandboxProvider;
  template: string;
  /** Programs in it run many times slower than the host's. */
  slow?: boolean;
  /** Closes the provider and opens another on the same backend, as a restart of Berth does. */
  restart(): Promise<SandboxProvider>;
  /** SIGKILL to everything in it, behind the provider's back. */
  killInside(id: string): Promise<void>;
  /** What the backend still has of a sandbox, in words. Empty after `destroy`. */
  leftovers(id: string): Promise<string[]>;
  cleanup(): Promise<void>;
}

const mebibyte = 1024 ** 2;
/** What an answer may take where a guest's instructions are translated, on a busy machine. */
export const patienceMs = 30_000;
const wanted: SandboxLimits = { cpus: 1, memoryBytes: 512 * mebibyte, pids: 128, diskBytes: 256 * mebibyte };

export function options(timeoutMs = 60_000): { signal: AbortSignal } {
  return { signal: AbortSignal.timeout(timeoutMs) };
}

export function specFor(provider: SandboxProvider, template: string, more: Partial<SandboxSpec> = {}): SandboxSpec {
  const limits = { cpus: 0, memoryBytes: 0, pids: 0, diskBytes: 0 };
  for (const name of provider.capabilities.limits) limits[name] = wanted[name];
  const id = newId('sandbox');
  return { id, template, limits, network: 'none', labels: {}, runnerToken: `token-of-${id}`, env: {}, ...more };
}

export function runnerOf(provider: SandboxProvider, spec: Pick<SandboxSpec, 'id' | 'runnerToken'>): RunnerClient {
  return createRunnerClient({ dial: (port, call) => provider.dial(spec.id, port, call), token: spec.runnerToken });
}

/** Runs a shell script inside; resolves to its exit code and output. */
export async function shell(provider: SandboxProvider, spec: Pick<SandboxSpec, 'id' | 'runnerToken'>, script: string) {
  const runner = runnerOf(provider, spec);
  try {
    const result = await runner.exec(
      { argv: ['/bin/sh', '-c', script], timeoutMs: 60_000 },
      AbortSignal.timeout(90_000),
    );
    const text = (output: Uint8Array | string) =>
      typeof output === 'string' ? output : Buffer.from(output).toString('utf8');
    return { exitCode: result.exitCode, stdout: text(result.stdout).trim(), stderr: text(result.stderr).trim() };
  } finally {
    runner.close();
  }
}

/** What every driver must do. Drivers add what only they promise in their own test. */
export function sandboxProviderSuite(name: string, open: () => Promise<ProviderHarness>, contract: NotOnContract = {}): void {
  describe(`sandbox provider: ${name}`, () => {
    let harness: ProviderHarness;
    let provider: SandboxProvider;
    /** Of the cases that change nothing about it; each start of a sandbox costs every driver its time. */
    let shared: SandboxSpec;
    const made = new Set<string>();
    let findings: readonly Finding[] = [];
    recordOutcomes('provider', name, () => provider?.capabilities ?? null, () => findings, contract);
    const test = casesOn(contract);

    beforeAll(async () => {
      harness = await open();
      provider = harness.provider;
      ({ findings } = await provider.probe(options()));
      // The first call learns what the host can do.
      expect(await provider.list(options())).toEqual([]);
      shared = await create({ labels: { session: 'ses_1', purpose: 'a test' }, env: { GREETING: 'good day' } });
    });

    // What a case leaves running would take its part of the machine from all that follow.
    const destroyed = new Set<string>();
    afterEach(async () => {
      for (const id of made) {
        if (id === shared.id || destroyed.has(id)) continue;
        await provider.destroy(id, options());
        destroyed.add(id);
      }
    });

    afterAll(async () => {
      await provider.destroy(shared.id, options());
      const left = await Promise.all([...made].map((id) => harness.leftovers(id)));
      await harness.cleanup();
      expect(left.flat()).toEqual([]);
    });

    async function create(more: Partial<SandboxSpec> = {}): Promise<SandboxSpec> {
      const spec = specFor(provider, harness.template, more);
      made.add(spec.id);
      await provider.create(spec, options());
      return spec;
    }

    test('probe says what was found', async () => {
      const report = await provider.probe(options());
      expect(report.usable).toBe(true);
      for (const finding of report.findings) expect(finding.detected).not.toBe('');
    });

    test('create returns what was asked for, and list and get agree', async () => {
      const spec = shared;
      const info = await provider.get(spec.id, options());
      expect(info).toMatchObject({
        id: spec.id,
        status: 'running',
        template: spec.template,
        labels: spec.labels,
        limits: spec.limits,
      });
      expect(Number.isNaN(Date.parse(info.createdAt))).toBe(false);
      expect(await provider.list(options())).toContainEqual(info);
    });

    test('the runner answers, as the sandbox user, with the environment asked for', async () => {
      const spec = shared;
      const facts = await shell(
        provider,
        spec,
        'id -u; id -g; echo "$HOME"; pwd; echo "$GREETING"; env | grep -c BERTH_',
      );
      expect(facts.stdout.split('\n')).toEqual([
        `${guestUser.uid}`,
        `${guestUser.gid}`,
        guestHome,
        guestHome,
        'good day',
        '0',
      ]);
    });

    test('a wrong runner token is refused', async () => {
      const spec = shared;
      const runner = runnerOf(provider, { ...spec, runnerToken: 'wrong' });
      await expect(runner.listPorts(AbortSignal.timeout(patienceMs))).rejects.toMatchObject({
        code: 'upstream_failed',
        message: expect.stringContaining('token') as string,
      });
      runner.close();
    });

    test('dial reaches a port inside, and says when nothing listens there', async () => {
      const spec = shared;
      const server = `require('net').createServer((s) => s.pipe(s)).listen(4321, '127.0.0.1')`;
      const runner = runnerOf(provider, spec);
      await runner.startProcess({ argv: ['/berth/runner/bin/node', '-e', server] }, AbortSignal.timeout(patienceMs));
      await expect
        .poll(async () => (await runner.listPorts(AbortSignal.timeout(patienceMs))).map((port) => port.port), { timeout: patienceMs })
        .toContain(4321);
      const stream = await provider.dial(spec.id, 4321, options());
      stream.write('echo?');
      const [answer] = (await once(stream, 'data')) as [Buffer];
      expect(answer.toString()).toBe('echo?');
      stream.destroy();
      await expect(provider.dial(spec.id, 4999, options())).rejects.toMatchObject({ code: expect.any(String) });
      runner.close();
    });

    test('stop keeps the disk and start goes on from it; both twice', async () => {
      const spec = await create();
      await shell(provider, spec, `echo kept > ${guestHome}/file; mkdir -p /tmp/dir; echo also > /tmp/dir/file`);
      await provider.stop(spec.id, options());
      expect((await provider.get(spec.id, options())).status).toBe('stopped');
      await provider.stop(spec.id, options());
      await expect(provider.dial(spec.id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      expect((await provider.start(spec.id, options())).status).toBe('running');
      expect((await provider.start(spec.id, options())).status).toBe('running');
      expect((await shell(provider, spec, `cat ${guestHome}/file`)).stdout).toBe('kept');
    });

    test('destroy from running and from stopped, twice, leaves nothing', async () => {
      for (const stopFirst of [false, true]) {
        const spec = await create();
        if (stopFirst) await provider.stop(spec.id, options());
        await provider.destroy(spec.id, options());
        await provider.destroy(spec.id, options());
        expect(await harness.leftovers(spec.id)).toEqual([]);
        await expect(provider.get(spec.id, options())).rejects.toMatchObject({ code: 'not_found' });
      }
    });

    test('an unknown id is not_found, but for destroy', async () => {
      const id = newId('sandbox');
      await provider.destroy(id, options());
      for (const call of [
        () => provider.get(id, options()),
        () => provider.stop(id, options()),
        () => provider.start(id, options()),
        () => provider.stats(id, options()),
        () => provider.dial(id, 8080, options()),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'not_found' });
      }
    });

    test('a bad spec is refused with the field, and leaves nothing', async () => {
      const { limits } = specFor(provider, harness.template);
      const cases: [Partial<SandboxSpec>, string][] = [
        [{ template: 'no-such-template' }, 'template'],
        [{ template: '../../etc' }, 'template'],
        [{ id: '../escape' }, 'id'],
        [{ limits: { ...limits, memoryBytes: 1 } }, 'limits.memoryBytes'],
        [{ limits: { ...limits, cpus: Number.NaN } }, 'limits.cpus'],
        [{ env: { 'A B': 'c' } }, 'env'],
      ];
      for (const [more, field] of cases) {
        const spec = specFor(provider, harness.template, more);
        await expect(provider.create(spec, options())).rejects.toMatchObject({ field });
        if (more.id === undefined) expect(await harness.leftovers(spec.id)).toEqual([]);
      }
      await provider.checkTemplate(harness.template, options());
      for (const template of ['no-such-template', '../../etc']) {
        await expect(provider.checkTemplate(template, options())).rejects.toMatchObject({ code: 'not_found', field: 'template' });
      }
    });

    test('an id that exists is a conflict, and the sandbox goes on', async () => {
      const spec = shared;
      await expect(provider.create(spec, options())).rejects.toMatchObject({ code: 'conflict' });
      expect((await shell(provider, spec, 'echo alive')).stdout).toBe('alive');
    });

    test('creates side by side, and destroys side by side', async () => {
      const specs = await Promise.all(Array.from({ length: harness.slow ? 2 : 4 }, () => create()));
      const names = await Promise.all(
        specs.map((spec) => shell(provider, spec, `echo ${spec.id} > ${guestHome}/me; cat ${guestHome}/me`)),
      );
      expect(names.map((result) => result.stdout)).toEqual(specs.map((spec) => spec.id));
      await Promise.all(specs.map((spec) => provider.destroy(spec.id, options())));
      for (const spec of specs) expect(await harness.leftovers(spec.id)).toEqual([]);
    });

    test('calls on one sandbox at once end in one of its states', async () => {
      const spec = await create();
      await Promise.allSettled([
        provider.stop(spec.id, options()),
        provider.start(spec.id, options()),
        provider.stop(spec.id, options()),
        provider.destroy(spec.id, options()),
        provider.start(spec.id, options()),
      ]);
      expect(await harness.leftovers(spec.id)).toEqual([]);
    });

    test('an aborted create is cancelled and leaves nothing, at whatever step', async () => {
      for (const afterMs of harness.slow ? [0, 10, 100, 500] : [0, 2, 5, 9, 15, 25, 40, 60, 80]) {
        const spec = specFor(provider, harness.template);
        made.add(spec.id);
        const abort = new AbortController();
        const timer = setTimeout(() => abort.abort(), afterMs);
        const outcome = await provider.create(spec, { signal: abort.signal }).then(
          () => 'created',
          () => 'failed',
        );
        clearTimeout(timer);
        if (outcome === 'created') await provider.destroy(spec.id, options());
        expect(await harness.leftovers(spec.id), `aborted after ${afterMs} ms`).toEqual([]);
      }
    });

    test('a create that takes too long says so, and leaves nothing', async () => {
      const spec = specFor(provider, harness.template);
      made.add(spec.id);
      const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
      const hurried = guarded(provider, { logger: silent, deadlines: { createMs: 20 } });
      await expect(hurried.create(spec, options())).rejects.toMatchObject({ code: 'timeout' });
      expect(await harness.leftovers(spec.id)).toEqual([]);
    });

    test('processes that are killed from outside: it is lost, and starts from its disk', async () => {
      const spec = await create();
      await shell(provider, spec, `echo kept > ${guestHome}/file; sync`);
      await harness.killInside(spec.id);
      await expect.poll(async () => (await provider.get(spec.id, options())).status).toBe('stopped');
      await expect(provider.dial(spec.id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      expect((await provider.start(spec.id, options())).status).toBe('running');
      expect((await shell(provider, spec, `cat ${guestHome}/file`)).stdout).toBe('kept');
    });

    test('a sandbox outlives the provider and is found again', async () => {
      const spec = await create({ labels: { session: 'ses_adopted' } });
      await shell(provider, spec, `(i=0; while :; do i=$((i+1)); echo $i > ${guestHome}/clock; sleep 0.2; done) >/dev/null 2>&1 &`);
      provider = await harness.restart();
      expect(await provider.get(spec.id, options())).toMatchObject({
        status: 'running',
        labels: { session: 'ses_adopted' },
      });
      const read = () => shell(provider, spec, `cat ${guestHome}/clock`);
      const before = (await read()).stdout;
      await expect.poll(async () => (await read()).stdout, { timeout: patienceMs }).not.toBe(before);
      await provider.stop(spec.id, options());
      provider = await harness.restart();
      expect((await provider.start(spec.id, options())).status).toBe('running');
    });

    test('stats are of this sandbox', async () => {
      const spec = shared;
      await shell(provider, spec, `i=0; while [ $i -lt ${harness.slow ? 5000 : 100_000} ]; do i=$((i+1)); done`);
      const stats = await provider.stats(spec.id, options());
      expect(stats.memoryBytes).toBeGreaterThan(mebibyte);
      expect(stats.cpuTimeMs).toBeGreaterThan(10);
      expect(stats.pids).toBeGreaterThan(0);
      expect(stats.diskBytes).toBeGreaterThanOrEqual(0);
    });

    insideCases(() => ({ provider, spec: shared }), test);

    /**
     * Runs what reaches a limit of memory or processes. `null`: the whole sandbox ended by it, as where its kernel is itself among
     * what is limited (`user-kernel`); it was started again.
     */
    async function atLimit(spec: SandboxSpec, script: string) {
      try {
        return await shell(provider, spec, script);
      } catch (error) {
        if (provider.capabilities.isolation !== 'user-kernel') throw error;
        expect(error).toMatchObject({ code: 'sandbox_lost' });
        await expect.poll(async () => (await provider.get(spec.id, options())).status, { timeout: patienceMs }).toBe('stopped');
        await provider.start(spec.id, options());
        return null;
      }
    }

    test('limits are enforced, or refused', async () => {
      const enforced = provider.capabilities.limits;
      for (const limit of Object.keys(wanted) as (keyof SandboxLimits)[]) {
        if (enforced.includes(limit)) continue;
        const spec = specFor(provider, harness.template);
        spec.limits = { ...spec.limits, [limit]: wanted[limit] };
        await expect(provider.create(spec, options())).rejects.toMatchObject({
          code: 'invalid_request',
          field: `limits.${limit}`,
        });
      }
      const spec = await create();
      if (enforced.includes('memoryBytes')) {
        const hog = await atLimit(spec, 'exec /berth/runner/bin/node -e "const a=[];for(;;)a.push(Buffer.alloc(1<<24,1))"');
        expect(hog?.exitCode).not.toBe(0);
        expect((await shell(provider, spec, 'echo alive')).stdout).toBe('alive');
      }
      if (enforced.includes('pids')) {
        const script = 'for i in $(seq 300); do sleep 1 & done; wait; exit 7';
        if (provider.capabilities.isolation === 'user-kernel') {
          let running = true;
          const forks = atLimit(spec, script).finally(() => (running = false));
          // However many there are inside: what the host gives them is its limit at most.
          while (running) expect((await provider.stats(spec.id, options())).pids).toBeLessThanOrEqual(wanted.pids);
          await forks;
        } else {
          const { exitCode, stderr } = await shell(provider, spec, script);
          expect(`${exitCode} ${stderr}`).toMatch(/fork|Resource temporarily unavailable/i);
          await expect.poll(async () => (await provider.stats(spec.id, options())).pids, { timeout: patienceMs }).toBeLessThan(20);
        }
        await expect.poll(async () => (await shell(provider, spec, 'true')).exitCode, { timeout: patienceMs }).toBe(0);
      }
      if (enforced.includes('diskBytes')) {
        const fill = await shell(provider, spec, `head -c ${wanted.diskBytes * 2} /dev/zero > ${guestHome}/fill`);
        expect(fill.exitCode).not.toBe(0);
        expect(fill.stderr).toMatch(/quota exceeded|no space left/i);
        expect(
          (
            await shell(
              provider,
              spec,
              `rm ${guestHome}/fill && echo again > ${guestHome}/file && cat ${guestHome}/file`,
            )
          ).stdout,
        ).toBe('again');
      }
    });

    test('a network that it does not have is refused, for a new one and for one that runs', async () => {
      if (provider.capabilities.network.includes('full')) return;
      noteLack('network');
      const unsupported = { code: 'unsupported', field: 'network' };
      await expect(provider.create(specFor(provider, harness.template, { network: 'full' }), options())).rejects.toMatchObject(unsupported);
      if (provider.capabilities.update === 'none') return;
      const { labels, limits } = shared;
      await expect(provider.update(shared.id, { labels, limits, network: 'full' }, options())).rejects.toMatchObject(unsupported);
    });

    test('labels and limits change under what runs, or the change is refused', async () => {
      const spec = await create({ labels: { purpose: 'first' } });
      const limits = { ...spec.limits };
      if (limits.memoryBytes > 0) limits.memoryBytes *= 2;
      const change = { labels: { session: 'ses_bound' }, limits };
      const network = 'none' as const;
      if (provider.capabilities.update === 'none') {
        noteLack('update');
        await expect(provider.update(spec.id, { ...change, network }, options())).rejects.toMatchObject({ code: 'unsupported' });
        return;
      }
      await shell(provider, spec, 'sleep 600 >/dev/null 2>&1 &');
      expect(await provider.update(spec.id, { ...change, network }, options())).toMatchObject(change);
      expect(await provider.get(spec.id, options())).toMatchObject({ status: 'running', ...change });
      expect((await shell(provider, spec, 'cat /proc/[0-9]*/comm | grep -c sleep')).stdout).toBe('1');
      if (limits.pids > 0) {
        const few = { ...change, network, limits: { ...limits, pids: 32 } };
        if (provider.capabilities.isolation === 'user-kernel') {
          // Its kernel alone takes more.
          await expect(provider.update(spec.id, few, options())).rejects.toMatchObject({ code: 'invalid_request', field: 'limits.pids' });
        } else {
          await provider.update(spec.id, few, options());
          const forks = await shell(provider, spec, 'for i in $(seq 60); do sleep 1 & done; wait; exit 7');
          expect(`${forks.exitCode} ${forks.stderr}`).toMatch(/fork|Resource temporarily unavailable/i);
        }
        await provider.update(spec.id, { ...change, network }, options());
      }
      const bad = { ...change, network, limits: { ...limits, cpus: Number.NaN } };
      await expect(provider.update(spec.id, bad, options())).rejects.toMatchObject({ field: 'limits.cpus' });
      await provider.stop(spec.id, options());
      await provider.update(spec.id, { labels: {}, limits: spec.limits, network }, options());
      await provider.start(spec.id, options());
      expect(await provider.get(spec.id, options())).toMatchObject({ status: 'running', labels: {}, limits: spec.limits });
      await expect(provider.update(newId('sandbox'), { ...change, network }, options())).rejects.toMatchObject({ code: 'not_found' });
    });

    test('objects of the host are readable inside and not writable', async () => {
      const spec = shared;
      if (provider.capabilities.sharedObjects === 'none') {
        noteLack('sharedObjects');
        expect('shareObjects' in provider).toBe(false);
        return;
      }
      const directory = await mkdtemp(join(tmpdir(), 'berth-objects-'));
      try {
        await mkdir(join(directory, 'pack'));
        await writeFile(join(directory, 'pack/pack-1.pack'), 'first');
        await provider.shareObjects!(spec.id, directory, options());
        await writeFile(join(directory, 'pack/pack-2.pack'), 'second');
        await provider.shareObjects!(spec.id, directory, options());
        const seen = await shell(provider, spec, `cat ${guestObjectsPath}/pack/*; echo x > ${guestObjectsPath}/x`);
        expect(seen.stdout).toBe('firstsecond');
        expect(seen.stderr).toMatch(provider.capabilities.isolation === 'user-kernel' ? /permission denied|read-only/i : /read-only/i);
        expect((await readdir(directory)).toSorted()).toEqual(['pack']);
      } finally {
        await rm(directory, { recursive: true });
      }
    });

    test('a closed provider refuses, and its sandboxes go on', async () => {
      const spec = shared;
      const closed = provider;
      provider = await harness.restart();
      await expect(closed.list(options())).rejects.toMatchObject({ code: 'unavailable' });
      expect((await provider.get(spec.id, options())).status).toBe('running');
    });
  });
}
