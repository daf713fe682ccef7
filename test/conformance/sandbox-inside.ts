import { expect } from 'vitest';
import type { RunnerClient } from '../../src/core/ports/runner.ts';
import type { SandboxProvider, SandboxSpec } from '../../src/core/ports/sandbox-provider.ts';
import type { FileChange, ProcessSpec } from '../../src/protocol/runner-api.ts';
import { encodeFrame, FrameDecoder, frameType } from '../../src/protocol/frames.ts';
import type { DefineCase } from './outcomes.ts';
import { options, patienceMs, runnerOf, shell } from './sandbox-provider.ts';

export interface SharedSandbox {
  provider: SandboxProvider;
  spec: SandboxSpec;
}

/**
 * What goes through the runner must go through every provider's stream to it: bytes of any number, ends of each direction,
 * many at once. `shared` gives one sandbox that other cases use too; `test` defines a case.
 */
export function insideCases(shared: () => SharedSandbox, test: DefineCase): void {
  const { signal } = new AbortController();

  async function withRunner<T>(use: (runner: RunnerClient) => Promise<T>): Promise<T> {
    const { provider, spec } = shared();
    const runner = runnerOf(provider, spec);
    try {
      return await use(runner);
    } finally {
      runner.close();
    }
  }

  /** Starts a process, sends these frames, and reads to its end. */
  function attached(spec: ProcessSpec, ...frames: Uint8Array[]) {
    return withRunner(async (runner) => {
      const { id } = await runner.startProcess(spec, signal);
      const stream = await runner.attachProcess(id, 0, signal);
      for (const frame of frames) stream.write(frame);
      const decoder = new FrameDecoder();
      const said = { stdout: '', stderr: '', exit: null as unknown };
      for await (const chunk of stream) {
        for (const { type, payload } of decoder.push(chunk as Uint8Array)) {
          const text = Buffer.from(payload).toString('utf8');
          if (type === frameType.stdout) said.stdout += text;
          if (type === frameType.stderr) said.stderr += text;
          if (type === frameType.exit) said.exit = JSON.parse(text);
        }
        if (said.exit !== null) break;
      }
      stream.destroy();
      return said;
    });
  }

  test('output and errors come apart, with the exit code or the signal', async () => {
    expect(await attached({ argv: ['/bin/sh', '-c', 'echo out; echo err >&2; exit 7'] })).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      exit: { exitCode: 7, signal: null },
    });
    expect(await attached({ argv: ['/bin/sh', '-c', 'kill -KILL $$'] })).toMatchObject({
      exit: { exitCode: null, signal: 'SIGKILL' },
    });
    await withRunner((runner) =>
      expect(runner.startProcess({ argv: ['/no/such/program'] }, signal)).rejects.toMatchObject({ code: 'not_found' }),
    );
  });

  test('standard input of megabytes arrives whole, and its end', async () => {
    const block = Buffer.alloc(2 ** 19, 'berth ');
    const frames = Array.from({ length: 4 }, () => encodeFrame(frameType.stdin, block));
    const { stdout } = await attached({ argv: ['wc', '-c'], stdin: true }, ...frames, encodeFrame(frameType.stdinEnd));
    expect(stdout.trim()).toBe(`${4 * block.length}`);
  });

  test('a signal reaches the whole group of a process', async () => {
    await withRunner(async (runner) => {
      const { id } = await runner.startProcess({ argv: ['/bin/sh', '-c', 'sleep 600 & wait'] }, signal);
      await runner.signalProcess(id, 'SIGTERM', signal);
      await expect
        .poll(async () => (await runner.getProcess(id, signal)).exit)
        .toMatchObject({ exitCode: null, signal: 'SIGTERM' });
    });
  });

  test('a terminal is one, of the size asked for, and changes it', async () => {
    const script = 'tty; stty size; read line; stty size; echo "<$line>"; exit 3';
    const { stdout, exit } = await attached(
      { argv: ['/bin/sh', '-c', script], pty: { cols: 91, rows: 17 } },
      encodeFrame(frameType.resize, JSON.stringify({ cols: 101, rows: 19 })),
      encodeFrame(frameType.stdin, 'typed\n'),
    );
    expect(stdout).toContain('/dev/pts/');
    expect(stdout).toMatch(/19 101/);
    expect(stdout).toContain('<typed>');
    expect(exit).toEqual({ exitCode: 3, signal: null });
  });

  test('many commands at once', async () => {
    const { provider, spec } = shared();
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => shell(provider, spec, `echo ${index}`)));
    expect(results.map(({ stdout }) => Number(stdout))).toEqual(results.map((_, index) => index));
  });

  test('files are written, read, listed, moved and removed, and watched', async () => {
    await withRunner(async (runner) => {
      const directory = '/home/user/files-case';
      await runner.makeDirectory(directory, { parents: false }, signal);
      const stop = new AbortController();
      const changes: FileChange[] = [];
      const watching = (async () => {
        for await (const change of runner.watchFiles(directory, { recursive: true }, stop.signal)) changes.push(change);
      })().catch((error: unknown) => {
        if (!stop.signal.aborted) throw error;
      });
      const block = new Uint8Array(2 ** 20).map((_, index) => index % 251);
      const body = async function* () {
        for (let part = 0; part < 4; part++) yield block;
      };
      const small = async function* () {
        yield block.subarray(0, 1);
      };
      const path = `${directory}/deep/binary`;
      // The watch begins when its answer does, so what it tells of is what comes after it told of something.
      await expect
        .poll(
          async () => {
            await runner.writeFile(`${directory}/first`, small(), { makeParents: false }, signal);
            return changes.some((change) => change.path.endsWith('/first'));
          },
          { timeout: patienceMs },
        )
        .toBe(true);
      const written = await runner.writeFile(path, body(), { makeParents: true, mode: 0o640 }, signal);
      expect(written).toMatchObject({ path, type: 'file', sizeBytes: 4 * block.length, mode: 0o640 });
      const part = await runner.readFile(path, { offset: block.length, lengthBytes: block.length }, signal);
      expect(Buffer.from(await new Response(part).arrayBuffer()).equals(block)).toBe(true);
      await runner.moveFile(path, `${directory}/moved`, signal);
      expect((await runner.listFiles(directory, signal)).map(({ name }) => name).toSorted()).toEqual(['deep', 'first', 'moved']);
      await expect(runner.statFile(path, signal)).rejects.toMatchObject({ code: 'not_found' });
      await expect(runner.statFile('/etc/shadow', signal)).rejects.toMatchObject({ code: 'path_not_allowed' });
      await runner.removeFile(directory, { recursive: true }, signal);
      const removed = () => changes.some((change) => change.path.endsWith('/moved') && change.type === 'removed');
      await expect.poll(removed, { timeout: patienceMs }).toBe(true);
      stop.abort();
      await watching;
    });
  });

  test('without a network there is loopback alone, and no way out', async () => {
    const { provider, spec } = shared();
    const facts = await shell(provider, spec, 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "; cat /proc/net/route | wc -l');
    expect(facts.stdout.split('\n')).toEqual(['lo', '1']);
    // A public address, a neighbour's, the metadata service of clouds, a name server.
    const targets = ['1.1.1.1', '10.0.0.1', '169.254.169.254', '192.168.1.1'].map((host) => `${host}/80`);
    const tries = targets.map((target) => `(exec 3<>/dev/tcp/${target}) 2>&1 | grep -qiE "unreachable|no route" && echo refused`).join('; ');
    const { stdout } = await shell(provider, spec, `timeout 20 bash -c '${tries}'`);
    expect(stdout.split('\n')).toEqual(targets.map(() => 'refused'));
  });

  test('a call that is given up before it begins does nothing', async () => {
    const { provider, spec } = shared();
    const given = { signal: AbortSignal.abort() };
    const { labels, limits } = spec;
    const calls: Record<string, () => Promise<unknown>> = {
      get: () => provider.get(spec.id, given),
      list: () => provider.list(given),
      stop: () => provider.stop(spec.id, given),
      start: () => provider.start(spec.id, given),
      destroy: () => provider.destroy(spec.id, given),
      dial: () => provider.dial(spec.id, 8080, given),
      pause: () => provider.pause(spec.id, given),
      resume: () => provider.resume(spec.id, given),
      hibernate: () => provider.hibernate(spec.id, given),
      snapshot: () => provider.snapshot(spec.id, { snapshotId: 'snp_given_up', memory: false }, given),
      update: () => provider.update(spec.id, { labels: { ...labels, changed: 'yes' }, limits, network: 'none' }, given),
      fork: () => provider.fork({ sandboxId: spec.id }, [{ ...spec, id: `${spec.id}-given-up` }], given),
    };
    for (const [name, call] of Object.entries(calls)) await expect(call(), name).rejects.toThrow();
    expect(await provider.get(spec.id, options())).toMatchObject({ status: 'running', labels });
    if (provider.capabilities.snapshot !== 'none') expect(await provider.listSnapshots(options())).toEqual([]);
    await expect(provider.get(`${spec.id}-given-up`, options())).rejects.toMatchObject({ code: 'not_found' });
  });
}
