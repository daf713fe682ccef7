import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRunner, type TestRunner } from '../../../test/fixtures/start-runner.ts';
import { encodeFrame, FrameDecoder, frameType } from '../../protocol/frames.ts';
import type { ExecRequest } from '../../protocol/runner-api.ts';

let runner: TestRunner;
beforeAll(async () => {
  runner = await startRunner({ BERTH_SECRET: 'x', FROM_SANDBOX: 'yes' });
});
afterAll(() => runner[Symbol.asyncDispose]());

const never = new AbortController().signal;
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');
const exec = (request: ExecRequest, signal = never) => runner.client.exec(request, signal);
const sh = (script: string) => ['sh', '-c', script];

/** Everything a process writes from `from` on, and its exit. */
async function readAll(stream: Duplex): Promise<{ stdout: Buffer; stderr: Buffer; exit: unknown; error: unknown }> {
  const decoder = new FrameDecoder();
  const out = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  let exit: unknown = null;
  let error: unknown = null;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    for (const { type, payload } of decoder.push(chunk)) {
      if (type === frameType.stdout) out.stdout.push(payload);
      if (type === frameType.stderr) out.stderr.push(payload);
      if (type === frameType.exit) exit = JSON.parse(text(payload));
      if (type === frameType.error) error = JSON.parse(text(payload));
    }
  }
  return { stdout: Buffer.concat(out.stdout), stderr: Buffer.concat(out.stderr), exit, error };
}

/** Reads until stdout holds `wanted`. */
async function readUntil(stream: Duplex, wanted: string): Promise<string> {
  const decoder = new FrameDecoder();
  let seen = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    for (const { type, payload } of decoder.push(chunk)) if (type === frameType.stdout) seen += text(payload);
    if (seen.includes(wanted)) return seen;
  }
  throw new Error(`ended without ${wanted}: ${seen}`);
}

describe('exec', () => {
  it('returns output, exit code and the process environment', async () => {
    const result = await exec({
      argv: sh('echo out; echo err >&2; echo "$A:$FROM_SANDBOX:$BERTH_SECRET"; exit 3'),
      env: { A: 'b' },
    });
    expect(result).toMatchObject({ exitCode: 3, signal: null, timedOut: false, truncated: false });
    expect(text(result.stdout)).toBe('out\nb:yes:\n');
    expect(text(result.stderr)).toBe('err\n');
  });

  it('gives stdin as bytes and returns bytes', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const result = await exec({ argv: ['cat'], stdin: bytes.toString('base64') });
    expect(Buffer.from(result.stdout)).toEqual(bytes);
  });

  it('cuts output at the limit without stalling the process', async () => {
    const result = await exec({ argv: sh('head -c 3000000 /dev/zero; echo done >&2'), maxOutputBytes: 1000 });
    expect(result.stdout).toHaveLength(1000);
    expect(result.truncated).toBe(true);
    expect(text(result.stderr)).toBe('done\n');
  });

  it('kills the whole group when time runs out', async () => {
    const result = await exec({ argv: sh('sleep 1000 & echo $!; wait'), timeoutMs: 300 });
    expect(result).toMatchObject({ timedOut: true, signal: 'SIGKILL', exitCode: null });
    const alive = await exec({
      argv: sh(`grep -E '^State:.*[^Z]$' /proc/${text(result.stdout).trim()}/status 2>/dev/null`),
    });
    expect(text(alive.stdout)).not.toMatch(/sleeping|running/);
  });

  it('returns though a background process holds the output', async () => {
    const result = await exec({ argv: sh('sleep 1000 & echo $!') });
    expect(result.exitCode).toBe(0);
    process.kill(Number(text(result.stdout)), 'SIGKILL');
  });

  it('kills the process when its caller leaves', async () => {
    const abort = new AbortController();
    const running = exec({ argv: sh('echo $$ > pid; mkfifo wait; cat wait') }, abort.signal);
    running.catch(() => undefined);
    const pid = Number(text((await exec({ argv: sh('until [ -s pid ]; do :; done; cat pid') })).stdout));
    abort.abort();
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    await exec({ argv: sh(`while kill -0 ${pid} 2>/dev/null; do :; done`) });
  });

  it.each([
    [{ argv: [] }, 'invalid_request', 'argv'],
    [{ argv: ['x'], cwd: 'relative' }, 'invalid_request', 'cwd'],
    [{ argv: ['x'], env: { 'a-b': '' } }, 'invalid_request', 'env.a-b'],
    [{ argv: ['no-such-command'] }, 'not_found', 'argv'],
    [{ argv: ['true'], cwd: '/no/such/place' }, 'not_found', 'cwd'],
    [{ argv: ['/etc/passwd'] }, 'invalid_request', 'argv'],
    [{ argv: ['a\0b'] }, 'invalid_request', 'argv'],
    [{ argv: ['true', 'x'.repeat(3_000_000)] }, 'payload_too_large', 'argv'],
  ])('names the fault (%#)', async (request, code, field) => {
    await expect(exec(request as ExecRequest)).rejects.toMatchObject({ code, field });
  });
});

describe('processes', () => {
  const start = (script: string, more = {}) => runner.client.startProcess({ argv: sh(script), ...more }, never);
  const attach = (id: string, from = 0) => runner.client.attachProcess(id, from, never);

  it('carries stdin, its end, both outputs and the exit', async () => {
    const { id } = await start('cat; echo err >&2; exit 7', { stdin: true });
    const stream = await attach(id);
    stream.write(encodeFrame(frameType.stdin, 'hello'));
    stream.write(encodeFrame(frameType.stdinEnd));
    const all = await readAll(stream);
    expect(text(all.stdout)).toBe('hello');
    expect(text(all.stderr)).toBe('err\n');
    expect(all.exit).toEqual({ exitCode: 7, signal: null });
    expect(await runner.client.getProcess(id, never)).toMatchObject({ id, exit: { exitCode: 7, signal: null } });
  });

  it('goes on without its client and replays from a byte', async () => {
    const { id } = await start('echo one; read x; echo two', { stdin: true });
    const first = await attach(id);
    await readUntil(first, 'one');
    first.destroy();
    const second = await attach(id, 4);
    second.write(encodeFrame(frameType.stdin, '\n'));
    expect(text((await readAll(second)).stdout)).toBe('two\n');
    expect(text((await readAll(await attach(id, 2))).stdout)).toBe('e\ntwo\n');
  });

  it('delivers a flood whole to a reader that follows, and keeps a bounded tail', async () => {
    const size = 8_000_000;
    const { id } = await start(`read x; head -c ${size} /dev/urandom | tee flood; sha256sum < flood >&2`, {
      stdin: true,
    });
    const stream = await attach(id);
    stream.write(encodeFrame(frameType.stdin, '\n'));
    const all = await readAll(stream);
    expect(all.stdout).toHaveLength(size);
    const { createHash } = await import('node:crypto');
    expect(text(all.stderr)).toContain(createHash('sha256').update(all.stdout).digest('hex'));
    const again = await readAll(await attach(id));
    expect(again.stdout.length).toBeGreaterThan(900_000);
    expect(again.stdout.length).toBeLessThanOrEqual(1024 * 1024);
    expect(all.stdout.subarray(-again.stdout.length).equals(again.stdout)).toBe(true);
  });

  it('signals the whole group', async () => {
    const { id } = await start('sleep 1000 & sleep 1000 & wait');
    await runner.client.signalProcess(id, 'SIGTERM', never);
    expect((await readAll(await attach(id))).exit).toEqual({ exitCode: null, signal: 'SIGTERM' });
    await expect(runner.client.signalProcess(id, 'SIGTERM', never)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('survives stdin that nobody reads', async () => {
    const { id } = await start('exec <&-; echo closed; sleep 1000', { stdin: true });
    const stream = await attach(id);
    await readUntil(stream, 'closed');
    stream.write(encodeFrame(frameType.stdin, 'x'.repeat(200_000)));
    await runner.client.signalProcess(id, 'SIGKILL', never);
    expect((await readAll(stream)).exit).toMatchObject({ signal: 'SIGKILL' });
  });

  it('answers a broken frame with an error and leaves the process alone', async () => {
    const { id } = await start('read x; echo still here', { stdin: true });
    const stream = await attach(id);
    stream.write(Buffer.from([99, 0, 0, 0, 0]));
    expect((await readAll(stream)).error).toMatchObject({ code: 'invalid_request' });
    const again = await attach(id);
    again.write(encodeFrame(frameType.stdin, '\n'));
    expect(text((await readAll(again)).stdout)).toBe('still here\n');
  });

  it('refuses what is not there or makes no sense', async () => {
    const { id } = await start('sleep 1000');
    await expect(attach('prc_nope')).rejects.toMatchObject({ code: 'not_found' });
    await expect(runner.client.signalProcess(id, 'SIGNOPE', never)).rejects.toMatchObject({
      code: 'invalid_request',
      field: 'signal',
    });
    await expect(runner.client.resizeProcess(id, { cols: 9, rows: 9 }, never)).rejects.toMatchObject({
      code: 'unsupported',
    });
    await expect(start('x', { cwd: '/no/such' })).rejects.toMatchObject({ code: 'not_found', field: 'cwd' });
    await runner.client.signalProcess(id, 'SIGKILL', never);
  });
});

describe('terminals', () => {
  const start = (script: string) =>
    runner.client.startProcess({ argv: sh(script), pty: { cols: 80, rows: 24 } }, never);

  it('has a size that changes, by call and by frame', async () => {
    const { id, pty } = await start('tty; stty size; read x; stty size; read x; stty size; exit 4');
    expect(pty).toBe(true);
    const stream = await runner.client.attachProcess(id, 0, never);
    expect(await readUntil(stream, '24 80')).toContain('/dev/pts/');
    await runner.client.resizeProcess(id, { cols: 100, rows: 30 }, never);
    stream.write(encodeFrame(frameType.stdin, '\n'));
    await readUntil(stream, '30 100');
    stream.write(encodeFrame(frameType.resize, JSON.stringify({ cols: 120, rows: 40 })));
    stream.write(encodeFrame(frameType.stdin, '\n'));
    const rest = await readAll(stream);
    expect(text(rest.stdout)).toContain('40 120');
    expect(rest.exit).toEqual({ exitCode: 4, signal: null });
  });

  it('ends on end of input, and reports a signal', async () => {
    const ended = await start('cat; echo eof');
    const stream = await runner.client.attachProcess(ended.id, 0, never);
    stream.write(encodeFrame(frameType.stdinEnd));
    expect(text((await readAll(stream)).stdout)).toContain('eof');

    const interrupted = await start('echo ready; exec sleep 1000');
    const second = await runner.client.attachProcess(interrupted.id, 0, never);
    await readUntil(second, 'ready');
    second.write(encodeFrame(frameType.stdin, '\x03'));
    expect((await readAll(second)).exit).toEqual({ exitCode: null, signal: 'SIGINT' });
  });

  it('names a command that is not there', async () => {
    const spec = { argv: ['no-such-command'], pty: { cols: 80, rows: 24 } };
    await expect(runner.client.startProcess(spec, never)).rejects.toMatchObject({ code: 'not_found', field: 'argv' });
  });
});

it('ends its processes and itself on SIGTERM', async () => {
  await using other = await startRunner();
  const { id, pid } = await other.client.startProcess({ argv: sh('trap "" TERM; echo up; sleep 1000') }, never);
  await readUntil(await other.client.attachProcess(id, 0, never), 'up');
  expect(await other.kill('SIGTERM')).toEqual({ exitCode: 0, signal: null });
  expect(() => process.kill(pid, 0)).toThrow();
}, 10_000);

it('detaches at the end of the client stream', async () => {
  const { id } = await runner.client.startProcess({ argv: sh('sleep 1000') }, never);
  const stream = await runner.client.attachProcess(id, 0, never);
  stream.end();
  stream.resume();
  await once(stream, 'end');
  expect((await runner.client.getProcess(id, never)).exit).toBeNull();
  await runner.client.signalProcess(id, 'SIGKILL', never);
});
