import { lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chownTree } from './chown-tree.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-chown-'));
});
afterEach(() => rmSync(root, { recursive: true }));

test('everything below is given away, and nothing that a link leads to', () => {
  const home = join(root, 'home');
  const outside = join(root, 'outside');
  mkdirSync(join(home, 'a', 'b'), { recursive: true });
  mkdirSync(join(outside, 'inner'), { recursive: true });
  writeFileSync(join(home, 'a', 'b', 'file'), '');
  writeFileSync(join(outside, 'inner', 'file'), '');
  symlinkSync(outside, join(home, 'a', 'directory'));
  symlinkSync(join(outside, 'inner', 'file'), join(home, 'link'));
  symlinkSync('/nowhere', join(home, 'broken'));

  chownTree(home, 1234, 5678);

  for (const name of ['a', 'a/b', 'a/b/file', 'a/directory', 'link', 'broken']) {
    expect(lstatSync(join(home, name)), name).toMatchObject({ uid: 1234, gid: 5678 });
  }
  for (const name of ['', 'inner', 'inner/file']) expect(statSync(join(outside, name)).uid, name).toBe(process.getuid?.());
  expect(statSync(home).uid).toBe(process.getuid?.());
});
