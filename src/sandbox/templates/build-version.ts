import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { mustRun } from '../run-command.ts';
import type { UnpackLimits } from './archive/unpack.ts';
import type { ToolOptions } from './confined-tool.ts';
import { diskWork } from './disk-work.ts';
import { finishRecipe, finishRoot, hasProgram } from './finish-root.ts';
import type { LayerStore, StoredLayer } from './layer-store.ts';
import { parsePlace } from './place.ts';
import { fetchMaterial, type Material } from './sources/index.ts';
import { templateManifestName, type TemplateManifest } from './template.ts';

export interface BuildContext {
  layers: LayerStore;
  limits: UnpackLimits;
  now: () => Date;
}

/**
 * Makes a version of a template. All of it happens below the scratch directory; when it is whole and on the disk it is
 * renamed, layers first, so whatever has its own name is whole. Resolves to the version.
 */
export async function buildVersion(context: BuildContext, templateDir: string, from: string, options: ToolOptions): Promise<string> {
  const { scratchDir, say, signal } = options;
  const material = await fetchMaterial(parsePlace(from, 'from'), options);
  const stored = await unpackLayers(context, material, options);

  const version = versionOf(stored, material.env);
  const path = join(templateDir, version);
  if (existsSync(path)) {
    say(`version ${version} is there already`);
    return version;
  }
  const staged = join(scratchDir, 'version');
  await mkdir(staged, { mode: 0o755 });
  say('assembling');
  await diskWork.assemble(stored, join(staged, 'rootfs'), signal);
  finishRoot(join(staged, 'rootfs'));
  if (!hasProgram(join(staged, 'rootfs'), 'git')) say('warning: there is no git in it, and sessions need git');
  const manifest: TemplateManifest = {
    binds: [],
    env: material.env,
    layers: stored.map(({ digest }) => digest),
    from,
    sizeBytes: sizeOf(stored),
    createdAt: context.now().toISOString(),
  };
  await writeFile(join(staged, templateManifestName), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o644 });
  await mustRun('sync', ['--file-system', staged], { signal });
  for (const { tree, digest } of stored) await context.layers.add(join(tree, '..'), digest);
  await mkdir(templateDir, { recursive: true, mode: 0o755 });
  await rename(staged, path);
  return version;
}

async function unpackLayers({ layers, limits }: BuildContext, material: Material, options: ToolOptions): Promise<StoredLayer[]> {
  const { scratchDir, say, signal } = options;
  const stored: StoredLayer[] = [];
  for (const [index, { path, digest }] of material.layers.entries()) {
    const which = `layer ${index + 1} of ${material.layers.length}`;
    let layer = digest === null ? null : (stored.find((each) => each.digest === digest) ?? (await layers.get(digest)));
    if (layer !== null) {
      say(`${which}: ${layer.digest.slice(0, 12)} is here already`);
    } else {
      const directory = join(scratchDir, `layer-${index}`);
      await mkdir(join(directory, 'tree'), { recursive: true, mode: 0o755 });
      const left = { maxBytes: limits.maxBytes - sizeOf(stored), maxEntries: limits.maxEntries };
      const unpacked = await diskWork.unpack(path, join(directory, 'tree'), left, signal);
      if (digest !== null && unpacked.digest !== digest) {
        throw new BerthError('invalid_request', `${which} is not what the image says: ${unpacked.digest}, not ${digest}`, { field: 'from' });
      }
      layer = await layers.describe(directory, unpacked);
      const leftOut = unpacked.skipped + unpacked.unset === 0 ? '' : `; left out: ${unpacked.skipped} devices and the like, ${unpacked.unset} set-user-ID bits`;
      say(`${which}: ${unpacked.digest.slice(0, 12)}, ${unpacked.entries} files, ${Math.ceil(unpacked.sizeBytes / 1024 ** 2)} MiB${leftOut}`);
    }
    stored.push(layer);
    if (sizeOf(stored) > limits.maxBytes) throw new BerthError('resource_exhausted', `a template has at most ${limits.maxBytes} bytes`, { field: 'from' });
  }
  return stored;
}

const sizeOf = (layers: readonly StoredLayer[]) => layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

function versionOf(layers: readonly StoredLayer[], env: Readonly<Record<string, string>>): string {
  const named = Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const what = [finishRecipe, layers.map(({ digest }) => digest), named];
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16);
}
