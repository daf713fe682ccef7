import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import { createClientFiles, selectLines } from './client-files.ts';
import { writeSettingsFiles } from './settings-files.ts';

let root: string;
let inside: string;
let outside: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'berth-files-')));
  inside = join(root, 'inside');
  outside = join(root, 'outside');
  mkdirSync(inside);
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
});
afterEach(() => rmSync(root, { recursive: true }));

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as BerthError).code,
  );

test('settings files: parents made, private, kept unless told to overwrite', async () => {
  const path = join(inside, '.agent/deep/settings.json');
  await writeSettingsFiles([{ path, content: 'one', overwrite: false }]);
  await writeSettingsFiles([{ path, content: 'two', overwrite: false }]);
  expect(readFileSync(path, 'utf8')).toBe('one');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await writeSettingsFiles([{ path, content: 'three', overwrite: true }]);
  expect(readFileSync(path, 'utf8')).toBe('three');
  expect(readdirSync(join(inside, '.agent/deep'))).toEqual(['settings.json']);
});

test('settings files: a symlink anywhere is refused, naming the field', async () => {
  symlinkSync(outside, join(inside, '.agent'));
  symlinkSync(join(outside, 'secret'), join(inside, 'file'));
  symlinkSync(join(outside, 'made'), join(inside, 'dangling'));
  mkdirSync(join(inside, 'directory'));
  for (const name of [
    '.agent/settings.json',
    '.agent/new/settings.json',
    'file',
    'dangling',
    'directory',
    'directory/../.agent/x',
  ]) {
    const refused = writeSettingsFiles([
      { path: join(inside, 'fine'), content: '', overwrite: true },
      { path: `${inside}/${name}`, content: 'x', overwrite: true },
    ]);
    await expect(refused).rejects.toMatchObject({ code: 'path_not_allowed', field: 'files.1.path' });
  }
  expect(readdirSync(outside)).toEqual(['secret']);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
});

test('client files: only real files below the roots, through whatever links', async () => {
  const files = createClientFiles([inside, join(root, 'missing')]);
  symlinkSync(join(outside, 'secret'), join(inside, 'out'));
  symlinkSync(outside, join(inside, 'outdir'));
  symlinkSync('real', join(inside, 'in'));
  writeFileSync(join(inside, 'real'), 'real', { mode: 0o755 });
  expect(await files.read({ path: join(inside, 'in') })).toBe('real');
  for (const path of [
    join(inside, 'out'),
    join(outside, 'secret'),
    join(inside, 'outdir/secret'),
    `${inside}/../outside/secret`,
    inside,
    '/dev/zero',
    'relative',
  ]) {
    expect(await codeOf(files.read({ path })), path).toBe('path_not_allowed');
  }
  for (const path of [
    join(inside, 'out'),
    join(inside, 'outdir/new'),
    join(inside, 'outdir/a/b/new'),
    `${inside}-beside`,
    inside,
    'relative',
  ]) {
    expect(await codeOf(files.write({ path, content: 'x' })), path).toBe('path_not_allowed');
  }
  expect(await codeOf(files.read({ path: join(inside, 'none') }))).toBe('not_found');
  expect(readdirSync(outside)).toEqual(['secret']);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  await files.write({ path: join(inside, 'in'), content: 'new' });
  expect(readFileSync(join(inside, 'real'), 'utf8')).toBe('new');
  expect(statSync(join(inside, 'real')).mode & 0o777).toBe(0o755);
  await files.write({ path: join(inside, 'a/b/c'), content: 'deep' });
  expect(await files.read({ path: join(inside, 'a/b/c') })).toBe('deep');
});

test('client files: lines are counted from 1', () => {
  expect(selectLines('a\nb\nc', null, null)).toBe('a\nb\nc');
  expect(selectLines('a\nb\nc', 2, 1)).toBe('b\n');
  expect(selectLines('a\nb\nc', 2, null)).toBe('b\nc');
  expect(selectLines('a\nb\nc', null, 2)).toBe('a\nb\n');
});
