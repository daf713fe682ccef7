import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const dir = resolve(import.meta.dirname, '../../../dist/web');

/** What a browser has to fetch before it can draw a session: script and style, as compressed as they are sent. */
export function firstLoadBytes(): number {
  const manifest = JSON.parse(readFileSync(join(dir, '.vite/manifest.json'), 'utf8')) as Record<
    string,
    { file: string; imports?: string[]; css?: string[] }
  >;
  const files = new Set(['boot.js']);
  const add = (name: string): void => {
    const entry = manifest[name];
    if (entry === undefined) throw new Error(`${name} is not in the build`);
    if (files.has(entry.file)) return;
    files.add(entry.file);
    for (const file of entry.css ?? []) files.add(file);
    for (const each of entry.imports ?? []) add(each);
  };
  add('index.html');
  add('src/conversation/session-page.tsx');
  return [...files].reduce((sum, file) => sum + statSync(join(dir, `${file}.br`)).size, 0);
}
