import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAgentsImage } from './agents-image.ts';
import { createControlLines } from './control-line.ts';
import { writeCpio } from './cpio.ts';
import { reseedProgram } from './reseed-program.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-microvm-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const signal = () => AbortSignal.timeout(10_000);

test('an archive has its entries, aligned, and the same bytes each time', () => {
  const entries = [
    { name: 'bin', kind: 'directory' as const },
    { name: 'bin/tool', kind: 'file' as const, content: Buffer.from('hello'), mode: 0o755 },
    { name: 'bin/other', kind: 'link' as const, target: 'tool' },
  ];
  const archive = writeCpio(entries);
  expect(archive).toEqual(writeCpio(entries));
  expect(archive.length % 4).toBe(0);
  const [header, name] = [archive.subarray(0, 110).toString(), archive.subarray(110, 114).toString()];
  expect(header.startsWith('070701')).toBe(true);
  expect(name).toBe('bin\0');
  // The mode is the second field of eight digits.
  expect(header.slice(14, 22)).toBe('000041ed');
  expect(archive.includes(Buffer.from('bin/tool\0'))).toBe(true);
  expect(archive.includes(Buffer.from('hello'))).toBe(true);
  expect(archive.includes(Buffer.from('TRAILER!!!\0'))).toBe(true);
});

test('the program that reseeds the random generator does so', async () => {
  const path = join(directory, 'reseed');
  await writeFile(path, reseedProgram());
  await chmod(path, 0o755);
  if (process.arch !== 'x64' || process.getuid?.() !== 0) return expect(existsSync(path)).toBe(true);
  // Throws unless it exits with 0: the kernel has taken the call.
  expect(execFileSync(path).length).toBe(0);
});

test('the agents of a directory are taken in once each, where their table says', async () => {
  const [path, agents] = [join(directory, 'agents.img'), join(directory, 'agents')];
  for (const name of ['first-1.0', '.second-1.0.installing-x']) await mkdir(join(agents, name), { recursive: true });
  await writeFile(join(agents, 'first-1.0/program'), 'of the first');
  const image = await openAgentsImage(path, agents);
  expect(await image.refresh()).toBe(1);
  expect(await image.refresh()).toBe(1);
  await mkdir(join(agents, 'second-1.0'));
  expect(await Promise.all([image.refresh(), image.refresh()])).toEqual([2, 2]);
  await image.close();
  const again = await openAgentsImage(path, agents);
  expect(await again.refresh()).toBe(2);
  const file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, 4096);
  await file.close();
  const table = buffer.toString();
  const [first, second] = table.split('\0')[0]!.trim().split('\n').map((line) => line.split(' '));
  expect([first![0], second![0]]).toEqual(['first-1.0', 'second-1.0']);
  expect(Number(second![1])).toBeGreaterThanOrEqual(Number(first![1]) + Number(first![2]));
  const content = execFileSync('debugfs', ['-R', 'cat /program', `${path}?offset=${first![1]}`], { stdio: ['ignore', 'pipe', 'ignore'] });
  expect(content.toString()).toBe('of the first');
}, 30_000);

describe('a control line', () => {
  async function serve(answer: (line: string, socket: Socket) => void) {
    const path = join(directory, `control-${Math.random()}`);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        for (const line of chunk.toString().split('\n').filter(Boolean)) answer(line, socket);
      });
    });
    server.listen(path);
    await once(server, 'listening');
    const lines = createControlLines();
    return {
      tell: (...command: [string, ...string[]]) => lines.tell(path, command, signal()),
      async end() {
        lines.close();
        server.close();
      },
    };
  }

  test('resolves to the answer to its own call, whatever else is on the line', async () => {
    const { tell, end } = await serve((line, socket) => {
      const [id, verb] = line.split(' ');
      socket.write(`stale ok 7\nha`);
      socket.write(`lf\n${id} ${verb === 'bad' ? 'failed' : `ok ${verb} done`}\n`);
    });
    expect(await Promise.all([tell('sync'), tell('stats')])).toEqual(['sync done', 'stats done']);
    await expect(tell('bad')).rejects.toMatchObject({ code: 'upstream_failed' });
    await end();
  });

  test('is lost with the machine, and refuses what the init would take for more than a word', async () => {
    const { tell, end } = await serve((_line, socket) => socket.destroy());
    await expect(tell('sync')).rejects.toMatchObject({ code: 'sandbox_lost' });
    await expect(tell('woken', '1; reboot')).rejects.toThrow('not for the init');
    await end();
  });
});
