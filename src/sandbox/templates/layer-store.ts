import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { UnpackedLayer } from './archive/unpack.ts';
import type { LayerTree } from './assemble.ts';

const layerRecord = z.object({
  sizeBytes: z.number(),
  removed: z.array(z.string()),
  emptied: z.array(z.string()),
  implied: z.array(z.string()),
});

/** A layer's content and what it says beside it, as a directory. */
export interface StoredLayer extends LayerTree {
  digest: string;
  sizeBytes: number;
}

/** Layers, each at `<directory>/<SHA-256 of its archive>/` with `tree/` and `layer.json`. Whatever has that name is whole. */
export interface LayerStore {
  get(digest: string): Promise<StoredLayer | null>;
  /** Writes what belongs to a tree beside it; the directory is then what `add` takes. */
  describe(directory: string, layer: UnpackedLayer): Promise<StoredLayer>;
  /** Takes in a directory that is on the disk to its last byte. No-op when it has that layer. */
  add(directory: string, digest: string): Promise<void>;
  /** Removes all that are not named. */
  keep(digests: ReadonlySet<string>): Promise<void>;
}

export function createLayerStore(directory: string): LayerStore {
  return {
    async get(digest) {
      const path = join(directory, digest);
      return existsSync(path) ? read(path, digest) : null;
    },
    async describe(path, { digest, sizeBytes, removed, emptied, implied }) {
      await writeFile(join(path, 'layer.json'), JSON.stringify({ sizeBytes, removed, emptied, implied }), { mode: 0o644 });
      return read(path, digest);
    },
    async add(path, digest) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      if (!existsSync(join(directory, digest))) await rename(path, join(directory, digest));
    },
    async keep(digests) {
      if (!existsSync(directory)) return;
      for (const name of await readdir(directory)) {
        if (digests.has(name)) continue;
        // What has its own name no more is removed again at the next look.
        const gone = join(directory, `.${name.replace(/^\.+/, '')}`);
        if (gone !== join(directory, name)) await rename(join(directory, name), gone);
        await rm(gone, { recursive: true, force: true });
      }
    },
  };
}

async function read(path: string, digest: string): Promise<StoredLayer> {
  const { sizeBytes, removed, emptied, implied } = layerRecord.parse(JSON.parse(await readFile(join(path, 'layer.json'), 'utf8')));
  return { digest, sizeBytes, tree: join(path, 'tree'), removed, emptied, implied: new Set(implied) };
}
