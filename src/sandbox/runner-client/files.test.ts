import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRunner, type TestRunner } from '../../../test/fixtures/start-runner.ts';
import type { FileChange } from '../../protocol/runner-api.ts';

let runner: TestRunner;
beforeAll(async () => {
  runner = await startRunner();
});
afterAll(() => runner[Symbol.asyncDispose]());

const never = new AbortController().signal;
const at = (name: string) => join(runner.workspace, name);
async function* bytes(...parts: (string | Uint8Array)[]) {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}
const write = (path: string, content: string, options = {}) =>
  runner.client.writeFile(path, bytes(content), { makeParents: false, ...options }, never);
async function read(path: string, range = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await runner.client.readFile(path, range, never)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
/** Private memory of the runner, in bytes. */
function privateMemory(): number {
  const [, kb] = readFileSync(`/proc/${runner.pid}/smaps_rollup`, 'utf8').match(/Private_Dirty:\s+(\d+)/)!;
  return Number(kb) * 1024;
}

describe('content', () => {
  it('writes, stats, lists, reads ranges, moves and removes', async () => {
    const info = await write(at('a/b/file.bin'), '0123456789', { makeParents: true, mode: 0o640 });
    expect(info).toMatchObject({
      path: at('a/b/file.bin'),
      name: 'file.bin',
      type: 'file',
      sizeBytes: 10,
      mode: 0o640,
    });
    expect(await runner.client.statFile(at('a/b/../b/file.bin'), never)).toEqual(info);
    expect((await read(info.path)).toString()).toBe('0123456789');
    expect((await read(info.path, { offset: 3, lengthBytes: 4 })).toString()).toBe('3456');
    expect((await read(info.path, { offset: 30 })).toString()).toBe('');
    expect((await runner.client.listFiles(at('a/b'), never)).map(({ name }) => name)).toEqual(['file.bin']);
    await runner.client.moveFile(info.path, at('a/moved'), never);
    await runner.client.makeDirectory(at('a/x/y'), { parents: true }, never);
    await runner.client.makeDirectory(at('a/x/y'), { parents: true }, never);
    await expect(runner.client.makeDirectory(at('a/x'), { parents: false }, never)).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(runner.client.removeFile(at('a'), { recursive: false }, never)).rejects.toMatchObject({
      code: 'conflict',
    });
    await runner.client.removeFile(at('a'), { recursive: true }, never);
    await expect(runner.client.statFile(at('a'), never)).rejects.toMatchObject({ code: 'not_found', field: 'path' });
  });

  it('streams 50 MB each way in bounded memory', async () => {
    const block = Buffer.alloc(1024 * 1024, 7);
    const before = privateMemory();
    let highest = 0;
    const sent = createHash('sha256');
    async function* large() {
      for (let i = 0; i < 50; i++) {
        block.writeUInt32BE(i);
        sent.update(block);
        highest = Math.max(highest, privateMemory());
        yield Buffer.from(block);
      }
    }
    await runner.client.writeFile(at('large'), large(), { makeParents: false }, never);
    const received = createHash('sha256');
    for await (const chunk of await runner.client.readFile(at('large'), {}, never)) {
      received.update(chunk);
      highest = Math.max(highest, privateMemory());
    }
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(highest - before).toBeLessThan(25_000_000);
  });

  it('keeps the mode of a file it replaces, and leaves nothing of a write that broke', async () => {
    writeFileSync(at('script'), 'old');
    chmodSync(at('script'), 0o755);
    expect(await write(at('script'), 'new')).toMatchObject({ mode: 0o755 });
    async function* broken() {
      yield Buffer.from('half');
      throw new Error('source failed');
    }
    await expect(runner.client.writeFile(at('script'), broken(), { makeParents: false }, never)).rejects.toThrow();
    expect((await read(at('script'))).toString()).toBe('new');
    while (readdirSync(runner.workspace).some((name) => name.startsWith('.berth-'))) await runner.client.health(never);
  });

  it('refuses before it takes the body', async () => {
    let asked = false;
    async function* body() {
      asked = true;
      yield Buffer.from('x');
    }
    await expect(
      runner.client.writeFile('/etc/berth-test', body(), { makeParents: false }, never),
    ).rejects.toMatchObject({ code: 'path_not_allowed', field: 'path' });
    expect(asked).toBe(false);
  });

  it('neither hangs on nor replaces what is not a file', async () => {
    execFileSync('mkfifo', [at('fifo')]);
    await expect(read(at('fifo'))).rejects.toMatchObject({ code: 'unsupported' });
    await expect(write(at('fifo'), 'x')).rejects.toMatchObject({ code: 'unsupported' });
    await expect(read(runner.workspace)).rejects.toMatchObject({ code: 'conflict' });
    await expect(runner.client.removeFile(runner.workspace, { recursive: true }, never)).rejects.toMatchObject({
      code: 'path_not_allowed',
    });
  });

  it('lists names that are not UTF-8, and handles those that need escapes', async () => {
    mkdirSync(at('names'));
    writeFileSync(Buffer.concat([Buffer.from(at('names/')), Buffer.from([0xff, 0xfe])]), '');
    await write(at('names/a b?#%&+ü\n'), 'x');
    expect(await runner.client.listFiles(at('names'), never)).toHaveLength(2);
    expect((await read(at('names/a b?#%&+ü\n'))).toString()).toBe('x');
    await runner.client.removeFile(at('names'), { recursive: true }, never);
  });
});

describe('symlinks', () => {
  it('follows inside the roots and refuses outside', async () => {
    writeFileSync(join(runner.outside, 'secret'), 'secret');
    writeFileSync(at('target'), 'inside');
    symlinkSync('target', at('good'));
    symlinkSync(join(runner.outside, 'secret'), at('evil'));
    symlinkSync(runner.outside, at('evil-dir'));
    symlinkSync('../outside/secret', at('evil-relative'));
    symlinkSync('loop', at('loop'));
    symlinkSync('/proc/self/root/etc', at('magic'));
    expect((await read(at('good'))).toString()).toBe('inside');
    expect(await runner.client.statFile(at('evil'), never)).toMatchObject({
      type: 'symlink',
      target: join(runner.outside, 'secret'),
    });
    const escapes = ['evil', 'evil-dir/secret', 'evil-relative', 'magic/passwd', 'evil-dir/../../outside/secret'];
    for (const name of escapes.slice(0, 4)) {
      await expect(read(at(name)), name).rejects.toMatchObject({ code: 'path_not_allowed' });
    }
    await expect(read(`${runner.workspace}/../outside/secret`)).rejects.toMatchObject({ code: 'path_not_allowed' });
    await expect(read('/etc/passwd')).rejects.toMatchObject({ code: 'path_not_allowed' });
    await expect(read(at('loop'))).rejects.toMatchObject({ code: 'path_not_allowed' });
    await expect(write(at('evil-dir/new'), 'x')).rejects.toMatchObject({ code: 'path_not_allowed' });
    await expect(write(at('evil'), 'x')).rejects.toMatchObject({ code: 'conflict' });
    await expect(runner.client.listFiles(at('evil-dir'), never)).rejects.toMatchObject({ code: 'path_not_allowed' });
    await expect(runner.client.makeDirectory(at('evil-dir/a/b'), { parents: true }, never)).rejects.toMatchObject({
      code: 'path_not_allowed',
    });
    await expect(runner.client.moveFile(at('target'), at('evil-dir/t'), never)).rejects.toMatchObject({
      code: 'path_not_allowed',
      field: 'to',
    });
    await runner.client.removeFile(at('evil-dir'), { recursive: true }, never);
    expect(readFileSync(join(runner.outside, 'secret'), 'utf8')).toBe('secret');
  });

  it('is not fooled by a directory that becomes a symlink and back', async () => {
    mkdirSync(at('swap'));
    writeFileSync(at('swap/f'), 'inside');
    mkdirSync(join(runner.outside, 'd'));
    writeFileSync(join(runner.outside, 'd/f'), 'outside');
    const script = `cd ${runner.workspace}; ln -s ${runner.outside}/d link; while :; do mv swap kept; mv link swap; mv swap link; mv kept swap; done`;
    const { id } = await runner.client.startProcess({ argv: ['sh', '-c', script] }, never);
    let inside = 0;
    for (let i = 0; i < 150; i++) {
      const [content] = await Promise.all([
        read(at('swap/f')).then(String, (error: { code: string }) => error.code),
        write(at('swap/w'), 'x').catch(() => undefined),
        runner.client.removeFile(at('swap/f2'), { recursive: true }, never).catch(() => undefined),
      ]);
      expect(['inside', 'path_not_allowed', 'not_found', 'conflict', 'forbidden']).toContain(content);
      if (content === 'inside') inside++;
    }
    await runner.client.signalProcess(id, 'SIGKILL', never);
    expect(inside).toBeGreaterThan(0);
    expect(readdirSync(join(runner.outside, 'd'))).toEqual(['f']);
    expect(runner.stderr()).toBe('');
  });
});

describe('watch', () => {
  it('tells of changes in old and new directories until it is left', async () => {
    mkdirSync(at('watched/old'), { recursive: true });
    const abort = new AbortController();
    const changes = runner.client.watchFiles(at('watched'), { recursive: true }, abort.signal)[Symbol.asyncIterator]();
    const seen: FileChange[] = [];
    const until = async (type: string, name: string) => {
      while (!seen.some((change) => change.type === type && change.path === at(`watched/${name}`))) {
        const next = await changes.next();
        if (next.done === true) throw new Error('ended');
        seen.push(next.value);
      }
    };
    // Only a change shows that the watch is on: make some until one is seen.
    const first = changes.next();
    let on = false;
    void first.then(() => (on = true));
    for (let i = 0; !on; i++) {
      writeFileSync(at(`watched/probe${i}`), '');
      await runner.client.health(never);
    }
    expect(await first).toMatchObject({ value: { type: 'created' } });
    writeFileSync(at('watched/old/first'), '1');
    await until('created', 'old/first');
    mkdirSync(at('watched/new/deep'), { recursive: true });
    writeFileSync(at('watched/new/deep/file'), '1');
    await until('created', 'new/deep/file');
    writeFileSync(at('watched/new/deep/file'), '22');
    await until('modified', 'new/deep/file');
    await runner.client.removeFile(at('watched/new'), { recursive: true }, never);
    await until('removed', 'new');
    const pending = changes.next();
    abort.abort();
    await expect(pending).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('refuses a path outside', async () => {
    const changes = runner.client.watchFiles('/etc', { recursive: false }, never)[Symbol.asyncIterator]();
    await expect(changes.next()).rejects.toMatchObject({ code: 'path_not_allowed' });
  });
});

it('leaves no descriptor open', async () => {
  const count = () =>
    readdirSync(`/proc/${runner.pid}/fd`).filter((fd) => existsSync(`/proc/${runner.pid}/fd/${fd}`)).length;
  await read(at('target'));
  const before = count();
  for (let i = 0; i < 50; i++) {
    await read(at('target'));
    await write(at('fd-test'), 'x');
    await runner.client.listFiles(runner.workspace, never);
    await read(at('missing/x')).catch(() => undefined);
    await read(at('evil')).catch(() => undefined);
  }
  expect(count()).toBeLessThanOrEqual(before + 3);
  expect(statSync(at('fd-test')).size).toBe(1);
});
