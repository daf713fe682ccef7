import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeImageLock } from './image-lock.ts';
import {
  beginWaking,
  imageIds,
  isHibernated,
  memoryImage,
  removeImage,
  removeRetired,
  retireImage,
  startImage,
} from './memory-image.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-images-'));
});

afterEach(() => rm(directory, { recursive: true }));

async function woken(id: string) {
  const image = memoryImage(directory, id);
  await mkdir(image.final);
  for (let file = 0; file < 50; file++) await writeFile(join(image.final, `pages-${file}.img`), 'memory');
  await beginWaking(image, directory);
  return image;
}

test('removing the image before it leaves the next one and its lock alone', async () => {
  const image = await woken('sbx_a');
  await retireImage(image);
  expect(isHibernated(image)).toBe(false);
  const removing = removeRetired(directory, 'sbx_a');
  const lock = await takeImageLock(image.lock, 1);
  await startImage(image);
  await writeFile(join(image.pending, 'pages-1.img'), 'next');
  await removing;
  expect(await readdir(image.pending)).toEqual(['pages-1.img']);
  expect((await readdir(directory)).toSorted()).toEqual(['sbx_a.lock', 'sbx_a.new']);
  // Whoever comes next waits for the one who is at work.
  expect(await takeImageLock(image.lock, 0)).toBeNull();
  await lock?.close();
});

test('of one sandbox, not of one whose id begins the same', async () => {
  await retireImage(await woken('sbx_a'));
  await retireImage(await woken('sbx_ab'));
  await removeRetired(directory, 'sbx_a');
  expect(await readdir(directory)).toHaveLength(1);
  expect(await imageIds(directory)).toEqual([]);
  await removeRetired(directory);
  expect(await readdir(directory)).toEqual([]);
});

test('two that are retired one after the other, and everything else, go with the sandbox', async () => {
  const image = await woken('sbx_a');
  await retireImage(image);
  await retireImage(await woken('sbx_a'));
  await startImage(image);
  expect(await imageIds(directory)).toEqual(['sbx_a']);
  await removeImage(image);
  expect(await readdir(directory)).toEqual([]);
  expect(existsSync(image.final)).toBe(false);
});
