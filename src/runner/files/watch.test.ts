import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLocator } from './locate.ts';
import { watchFiles } from './watch.ts';

test('a directory that is found before its event comes keeps its watch, and what that has not told yet', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-watch-'));
  const seen: string[] = [];
  const file = `${root}/new/deep/file`;
  const watched = watchFiles(createLocator([root]), root, { recursive: true }, ({ type, path }) => {
    const change = `${type} ${path.slice(root.length + 1)}`;
    if (change === 'created new/deep' && !seen.includes(change)) {
      // Its parent is watched by now, so these events come after it was looked into.
      renameSync(`${root}/new/deep`, `${root}/new/away`);
      renameSync(`${root}/new/away`, `${root}/new/deep`);
    }
    if (change === 'created new/deep/file' && !seen.includes(change)) writeFileSync(file, 'more');
    seen.push(change);
  });
  try {
    mkdirSync(`${root}/new/deep`, { recursive: true });
    writeFileSync(file, '');
    await expect.poll(() => seen).toContain('modified new/deep/file');
  } finally {
    watched.close();
    rmSync(root, { recursive: true });
  }
});
