import { readdir, readFile } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import type { WebEncoding, WebFile, WebFiles } from '../server/web-app.ts';

/** Where the build of `web/` lies. */
export const webDir = resolve(import.meta.dirname, '../../dist/web');

const contentTypes: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};
const suffixes: Record<WebEncoding, string> = { br: '.br', gzip: '.gz', identity: '' };

/** Lists the build once; files are read when they are asked for. A build that is not there is an empty one. */
export async function readWebFiles(dir: string = webDir): Promise<WebFiles> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length));
  const known = new Set(paths);
  const files = new Map<string, WebFile>();
  for (const path of paths) {
    const contentType = contentTypes[extname(path)];
    if (contentType === undefined) continue;
    files.set(path, {
      contentType,
      immutable: path.startsWith('/assets/'),
      async read(wanted) {
        const encoding = known.has(path + suffixes[wanted]) ? wanted : 'identity';
        return { body: new Uint8Array(await readFile(join(dir, path + suffixes[encoding]))), encoding };
      },
    });
  }
  return {
    page: known.has('/index.html') ? await readFile(join(dir, 'index.html'), 'utf8') : null,
    find: (path) => files.get(path) ?? null,
  };
}
