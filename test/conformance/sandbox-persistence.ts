import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SandboxProvider, SandboxSpec } from '../../src/core/ports/sandbox-provider.ts';
import { newId } from '../../src/protocol/ids.ts';
import { encodeFrame, FrameDecoder, frameType } from '../../src/protocol/frames.ts';
import { options, runnerOf, shell, specFor, type ProviderHarness } from './sandbox-provider.ts';

type Spec = Pick<SandboxSpec, 'id' | 'runnerToken'>;

/** A sandbox with everything in it that must outlast a pause and a hibernate. */
export interface BusySandbox {
  spec: SandboxSpec;
  /** Where the counting loop is. */
  count(): Promise<number>;
  /** Throws when one of them has not gone on: the loop, the HTTP server, a connection inside, the shell in a PTY with its variable. */
  check(): Promise<void>;
}

const server = `
  const { createServer, get, Agent } = require('node:http');
  const started = process.pid + ':' + Math.random();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let reused = 0;
  createServer((request, response) => response.end(request.url === '/inner' ? 'x' : started + ' ' + reused)).listen(3000, '127.0.0.1', () => {
    setInterval(() => {
      const call = get({ port: 3000, path: '/inner', agent }, (response) => response.resume());
      call.on('response', () => { if (call.reusedSocket) reused++; });
      call.on('error', () => {});
    }, 50);
  });
  require('node:fs').watch('/home/user', () => {});
`;

/** `current` gives the provider, which a restart replaces. */
export async function createBusySandbox(current: () => SandboxProvider, template: string): Promise<BusySandbox> {
  const provider = current();
  const spec = specFor(provider, template);
  await provider.create(spec, options());
  const runner = runnerOf(provider, spec);
  const { signal } = options();
  await runner.startProcess({ argv: ['/bin/sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i > count.new; mv count.new count; sleep 0.02; done'] }, signal);
  await runner.startProcess({ argv: ['/berth/runner/bin/node', '-e', server] }, signal);
  const { id: terminal } = await runner.startProcess({ argv: ['/bin/bash'], pty: { cols: 80, rows: 24 } }, signal);
  runner.close();
  await typeInto(provider, spec, terminal, 'kept=va; kept=${kept}lue; echo "<$kept>"', '<value>');
  const first = await eventually(async () => ask(provider, spec));
  return {
    spec,
    count: async () => Number((await shell(current(), spec, 'cat count')).stdout),
    async check() {
      const before = Number((await shell(current(), spec, 'cat count')).stdout);
      await eventually(async () => {
        if (Number((await shell(current(), spec, 'cat count')).stdout) <= before) throw new Error('the loop stands still');
      });
      const [identity, reused] = await ask(current(), spec);
      expect(identity).toBe(first[0]);
      await eventually(async () => {
        if (Number((await ask(current(), spec))[1]) <= Number(reused)) throw new Error('the connection inside is gone');
      });
      await typeInto(current(), spec, terminal, 'echo "[$kept]"', '[value]');
    },
  };
}

/** Asks the HTTP server inside, from outside; its identity and how often its own client used its connection again. */
async function ask(provider: SandboxProvider, spec: Spec): Promise<string[]> {
  const stream = await provider.dial(spec.id, 3000, options());
  try {
    stream.write('GET / HTTP/1.0\r\n\r\n');
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return text.split('\r\n\r\n')[1]!.split(' ');
  } finally {
    stream.destroy();
  }
}

/** Types a line and waits for what it prints. */
async function typeInto(provider: SandboxProvider, spec: Spec, process: string, line: string, expected: string): Promise<void> {
  const runner = runnerOf(provider, spec);
  try {
    const stream = await runner.attachProcess(process, 0, options(10_000).signal);
    stream.write(encodeFrame(frameType.stdin, `${line}\n`));
    const decoder = new FrameDecoder();
    let seen = '';
    for await (const chunk of stream) {
      for (const { type, payload } of decoder.push(chunk as Uint8Array)) {
        if (type === frameType.stdout) seen += Buffer.from(payload).toString('utf8');
      }
      if (seen.includes(expected)) break;
    }
    stream.destroy();
    expect(seen).toContain(expected);
  } finally {
    runner.close();
  }
}

export async function eventually<T>(attempt: () => Promise<T>, withinMs = 5000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

/** What every driver must do about pause, hibernate, snapshot and fork, or refuse. */
export function sandboxPersistenceSuite(name: string, open: () => Promise<ProviderHarness>): void {
  describe(`sandbox persistence: ${name}`, () => {
    let harness: ProviderHarness;
    let provider: SandboxProvider;
    let busy: BusySandbox;
    const made = new Set<string>();

    beforeAll(async () => {
      harness = await open();
      provider = harness.provider;
      await provider.list(options());
      busy = await createBusySandbox(() => provider, harness.template);
      made.add(busy.spec.id);
    });

    afterAll(async () => {
      for (const id of made) await provider.destroy(id, options());
      const left = await Promise.all([...made].map((id) => harness.leftovers(id)));
      await harness.cleanup();
      expect(left.flat()).toEqual([]);
    });

    const statusOf = async (id: string) => (await provider.get(id, options())).status;
    const can = (capability: 'pause' | 'hibernate' | 'snapshot' | 'fork') => provider.capabilities[capability] !== 'none';
    const unsupported = { code: 'unsupported' };

    test('pause holds everything still, resume lets it go on', async () => {
      const { id } = busy.spec;
      if (!can('pause')) return expect(provider.pause(id, options())).rejects.toMatchObject(unsupported);
      await provider.pause(id, options());
      expect(await statusOf(id)).toBe('paused');
      const { cpuTimeMs } = await provider.stats(id, options());
      await sleep(100);
      expect((await provider.stats(id, options())).cpuTimeMs - cpuTimeMs).toBeLessThan(5);
      await expect(provider.dial(id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      await provider.pause(id, options());
      provider = await harness.restart();
      expect(await statusOf(id)).toBe('paused');
      expect((await provider.resume(id, options())).status).toBe('running');
      await provider.resume(id, options());
      await busy.check();
    });

    test('hibernate frees the memory and wake brings everything back', async () => {
      const { id } = busy.spec;
      if (!can('hibernate')) return expect(provider.hibernate(id, options())).rejects.toMatchObject(unsupported);
      const uptime = (await shell(provider, busy.spec, 'cat /home/user/count; date +%s')).stdout;
      expect(uptime).not.toBe('');
      await provider.hibernate(id, options());
      expect(await statusOf(id)).toBe('hibernated');
      expect(await provider.stats(id, options())).toMatchObject({ memoryBytes: 0, pids: 0 });
      await expect(provider.dial(id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      await provider.hibernate(id, options());
      await expect(provider.start(id, options())).rejects.toMatchObject({ code: 'conflict' });
      provider = await harness.restart();
      expect(await statusOf(id)).toBe('hibernated');
      const startedMs = performance.now();
      expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', reason: null, info: { status: 'running' } });
      expect(performance.now() - startedMs).toBeLessThan(3000);
      expect((await shell(provider, busy.spec, 'cat /sys/class/net/lo/flags')).stdout).toBe('0x9');
      await busy.check();
    });

    test('again and again, from paused too, with streams open', async () => {
      if (!can('hibernate')) return;
      const { id } = busy.spec;
      for (let round = 0; round < 3; round++) {
        if (round % 2 === 0) await provider.pause(id, options());
        else await provider.dial(id, 3000, options());
        const counted = round % 2 === 0 ? 0 : await busy.count();
        await provider.hibernate(id, options());
        expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory' });
        expect(await busy.count()).toBeGreaterThanOrEqual(counted);
      }
      await busy.check();
    });

    test('the limits and the walls are the same after', async () => {
      if (!can('hibernate')) return;
      const facts = 'grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status; id; ulimit -n; cat /proc/self/oom_score_adj; hostname; nproc; ls /proc/self/fd | wc -l; cut -d" " -f2 /proc/mounts | sort';
      const fresh = await make();
      const before = await shell(provider, fresh, facts);
      await provider.hibernate(fresh.id, options());
      await provider.wake(fresh.id, options());
      expect((await shell(provider, fresh, facts)).stdout).toBe(before.stdout);
      await provider.hibernate(fresh.id, options());
      await provider.stop(fresh.id, options());
      expect(await statusOf(fresh.id)).toBe('stopped');
      expect((await provider.start(fresh.id, options())).status).toBe('running');
      await provider.destroy(fresh.id, options());
    });

    test('a destroyed one leaves nothing, hibernated or paused', async () => {
      for (const way of ['hibernate', 'pause'] as const) {
        if (!can(way)) continue;
        const fresh = await make();
        await provider[way](fresh.id, options());
        await provider.destroy(fresh.id, options());
        expect(await harness.leftovers(fresh.id)).toEqual([]);
      }
    });

    test('refusals have their codes', async () => {
      const absent = newId('sandbox');
      for (const call of ['pause', 'resume', 'hibernate', 'wake'] as const) {
        const capability = call === 'pause' || call === 'resume' ? 'pause' : 'hibernate';
        await expect(provider[call](absent, options()), call).rejects.toMatchObject(can(capability) ? { code: 'not_found' } : unsupported);
      }
      if (!can('snapshot')) return;
      await expect(provider.snapshot(absent, { snapshotId: 'snp_x', memory: false }, options())).rejects.toMatchObject({ code: 'not_found' });
      await expect(provider.snapshot(busy.spec.id, { snapshotId: '../x', memory: false }, options())).rejects.toMatchObject({ code: 'invalid_request' });
      if (provider.capabilities.snapshot === 'disk') {
        await expect(provider.snapshot(busy.spec.id, { snapshotId: 'snp_x', memory: true }, options())).rejects.toMatchObject(unsupported);
      }
      const spec = specFor(provider, harness.template);
      await expect(provider.fork({ snapshotId: 'snp_none' }, [spec], options())).rejects.toMatchObject({ code: 'not_found' });
      await expect(provider.fork({ sandboxId: busy.spec.id }, [{ ...spec, id: busy.spec.id }], options())).rejects.toMatchObject({ code: 'conflict' });
      await busy.check();
    });

    test('a snapshot stays as it was, is listed, forked and deleted', async () => {
      if (!can('snapshot')) return;
      const { id } = busy.spec;
      await shell(provider, busy.spec, 'echo before > note; echo deep > /tmp/outside-home');
      const taken = await provider.snapshot(id, { snapshotId: 'snp_one', memory: false }, options());
      expect(taken).toMatchObject({ id: 'snp_one', sandboxId: id, template: harness.template, memory: false });
      await shell(provider, busy.spec, 'echo after > note');
      expect(await provider.snapshot(id, { snapshotId: 'snp_one', memory: false }, options())).toMatchObject({ createdAt: taken.createdAt });
      expect((await provider.listSnapshots(options())).map((snapshot) => snapshot.id)).toEqual(['snp_one']);
      const specs = [0, 1].map(() => specFor(provider, harness.template, { labels: { forked: 'yes' } }));
      for (const spec of specs) made.add(spec.id);
      const forks = await provider.fork({ snapshotId: 'snp_one' }, specs, options());
      expect(forks.map((info) => [info.status, info.labels])).toEqual(specs.map(() => ['running', { forked: 'yes' }]));
      await provider.deleteSnapshot('snp_one', options());
      await provider.deleteSnapshot('snp_one', options());
      expect(await provider.listSnapshots(options())).toEqual([]);
      for (const spec of specs) expect((await shell(provider, spec, 'cat note /tmp/outside-home')).stdout).toBe('before\ndeep');
      await shell(provider, specs[0]!, 'echo mine > note');
      expect((await shell(provider, specs[1]!, 'cat note')).stdout).toBe('before');
      await busy.check();
      for (const spec of specs) await provider.destroy(spec.id, options());
    });

    test('forks of a running, a stopped and a hibernated one', async () => {
      if (provider.capabilities.fork !== 'live') return;
      const source = await make();
      await shell(provider, source, 'echo kept > note');
      for (const prepare of [null, 'hibernate', 'stop'] as const) {
        if (prepare === 'hibernate' && !can('hibernate')) continue;
        if (prepare !== null) await provider[prepare](source.id, options());
        const status = await statusOf(source.id);
        const spec = specFor(provider, harness.template);
        made.add(spec.id);
        await provider.fork({ sandboxId: source.id }, [spec], options());
        expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
        expect(await statusOf(source.id)).toBe(status);
        await provider.destroy(spec.id, options());
      }
      await provider.destroy(source.id, options());
    });

    test('all forks or none', async () => {
      if (!can('fork')) return;
      const good = specFor(provider, harness.template);
      const bad = specFor(provider, harness.template, { id: busy.spec.id });
      await expect(provider.fork({ sandboxId: busy.spec.id }, [good, bad], options())).rejects.toMatchObject({ code: 'conflict' });
      await expect(provider.get(good.id, options())).rejects.toMatchObject({ code: 'not_found' });
      expect(await harness.leftovers(good.id)).toEqual([]);
    });

    async function make(): Promise<SandboxSpec> {
      const spec = specFor(provider, harness.template);
      made.add(spec.id);
      await provider.create(spec, options());
      return spec;
    }
  });
}
