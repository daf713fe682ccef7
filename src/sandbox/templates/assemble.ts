import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  utimesSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import type { UnpackedLayer } from './archive/unpack.ts';

/** A layer on the disk. */
export interface LayerTree extends Pick<UnpackedLayer, 'removed' | 'emptied'> {
  tree: string;
  /** As in `UnpackedLayer`. */
  implied: ReadonlySet<string>;
}

/**
 * Puts layers together, the lowest first, into a new root. Files are the layers' own by hard link: a file takes its space once,
 * however many templates have its layer. Nothing of what is linked is ever written, here or by whoever uses a template.
 */
export function assemble(layers: readonly LayerTree[], root: string): void {
  mkdirSync(root, { mode: 0o755 });
  for (const layer of layers) {
    for (const path of layer.emptied) {
      const directory = realDirectory(root, path);
      if (directory !== null) for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
    }
    for (const path of layer.removed) {
      const at = path.lastIndexOf('/');
      const directory = realDirectory(root, at < 0 ? '' : path.slice(0, at));
      if (directory !== null) rmSync(join(directory, path.slice(at + 1)), { recursive: true, force: true });
    }
    merge(layer, '', root);
  }
}

function merge(layer: LayerTree, path: string, root: string): void {
  const source = join(layer.tree, path);
  for (const name of readdirSync(source)) {
    const below = path === '' ? name : `${path}/${name}`;
    const [from, to] = [join(source, name), join(root, below)];
    const present = lstatSync(to, { throwIfNoEntry: false });
    if (!lstatSync(from).isDirectory()) {
      if (present !== undefined) rmSync(to, { recursive: true });
      linkSync(from, to);
      continue;
    }
    if (present !== undefined && !present.isDirectory()) rmSync(to);
    if (present?.isDirectory() !== true) mkdirSync(to, { mode: 0o755 });
    merge(layer, below, root);
  }
  // After its content: to add to a directory is to change its time.
  if (!layer.implied.has(path)) copyAttributes(lstatSync(source), join(root, path));
}

function copyAttributes({ uid, gid, mode, atime, mtime }: Stats, path: string): void {
  if (process.geteuid?.() === 0) lchownSync(path, uid, gid);
  chmodSync(path, mode & 0o1777);
  utimesSync(path, atime, mtime);
}

/** A directory of the root that is reached through no link, or `null`. */
export function realDirectory(root: string, path: string): string | null {
  let current = root;
  for (const part of path.split('/').filter(Boolean)) {
    current = join(current, part);
    if (lstatSync(current, { throwIfNoEntry: false })?.isDirectory() !== true) return null;
  }
  return current;
}
