import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keptBuild } from './kept-build.ts';

let root: string;
let builds: number;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-kept-'));
  builds = 0;
  await write('a.ts', 'one');
  await write('b.ts', 'two');
});

afterEach(() => rm(root, { recursive: true, force: true }));

/** As old as a source is that nobody edits just now. */
async function write(name: string, text: string, ageSeconds = 60): Promise<void> {
  await writeFile(join(root, name), text);
  const then = Date.now() / 1000 - ageSeconds;
  await utimes(join(root, name), then, then);
}

/** Joins the sources; its version is their hash. */
async function build(outDir: string): Promise<string[]> {
  builds += 1;
  const names = ['a.ts', 'b.ts'];
  const text = (await Promise.all(names.map((name) => readFile(join(root, name), 'utf8')))).join();
  await mkdir(outDir);
  await writeFile(join(outDir, 'main.mjs'), text);
  await writeFile(join(outDir, 'version'), `${createHash('sha256').update(text).digest('hex').slice(0, 16)}\n`);
  return names;
}

const cacheDir = () => join(root, 'cache');
const built = async () => readFile(join(await keptBuild({ root, cacheDir: cacheDir(), build }), 'main.mjs'), 'utf8');

test('is built once while its sources stay as they are', async () => {
  expect(await built()).toBe('one,two');
  expect(await built()).toBe('one,two');
  expect(builds).toBe(1);
});

test('is built anew after a source has changed, also by its time alone', async () => {
  await built();
  await write('b.ts', 'TWO', 30);
  expect(await built()).toBe('one,TWO');
  expect(builds).toBe(2);
  await write('b.ts', 'TWO', 20);
  expect(await built()).toBe('one,TWO');
  expect(builds).toBe(3);
});

test('a source that changes during the build is not taken for what was built', async () => {
  await write('b.ts', 'changing', -5);
  await built();
  await built();
  expect(builds).toBe(2);
});

test('what is damaged or gone is made again', async () => {
  await built();
  await writeFile(join(cacheDir(), 'runner.json'), '{"version":"../../etc"}');
  expect(await built()).toBe('one,two');
  for (const name of await readdir(cacheDir())) if (name.startsWith('runner-')) await rm(join(cacheDir(), name), { recursive: true });
  expect(await built()).toBe('one,two');
  expect(builds).toBe(3);
});

test('several at once each get a whole one, and leave nothing beside it', async () => {
  expect(await Promise.all([built(), built(), built()])).toEqual(['one,two', 'one,two', 'one,two']);
  expect((await readdir(cacheDir())).filter((name) => !/^runner(-[0-9a-f]{16}|\.json)$/.test(name))).toEqual([]);
});

test('a build that fails leaves nothing and is tried again', async () => {
  const failing = keptBuild({ root, cacheDir: cacheDir(), build: () => Promise.reject(new Error('no')) });
  await expect(failing).rejects.toThrow('no');
  expect(await readdir(cacheDir())).toEqual([]);
  expect(await built()).toBe('one,two');
});
