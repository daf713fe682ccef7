import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, link, mkdir, readdir, realpath, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { guestRunnerPath } from '../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../protocol/errors.ts';
import { findProgram } from '../find-program.ts';
import { mustRun } from '../run-command.ts';
import type { PlaceBundle } from './bundle.ts';
import { checkoutCacheDir, isCheckout } from './checkout.ts';
import { moveInto } from './kept-build.ts';
import { sharedLibraries, type SharedLibraries } from './libraries.ts';

/**
 * The directory mounted at `guestRunnerPath` in every sandbox: `main.mjs` and its chunks, `bin/node`,
 * `bin/tini`, and `lib/` with the loader and libraries that Node is bound to. Nothing in it depends on
 * the template, so it runs in one without glibc, or without anything.
 */
export interface RunnerLayer {
  path: string;
  version: string;
  /** The loader's place on an ordinary glibc system, where programs other than ours look for it. */
  loader: string;
}

const layerParts = ['bin', 'lib'] as const;

/** Changes when the way of building does, so that an upgrade builds anew. */
const recipe = '4';

/**
 * Node once more, for the runner alone: what may be run but not read, the kernel makes undumpable, so an
 * agent of the same uid can neither trace the runner nor read its memory, where the token is.
 */
export const runnerProgram = 'runner';

/**
 * The current layer, built beside and renamed when it is not there. Layers of other versions stay:
 * running sandboxes have them mounted. Node is this process's own.
 */
export function ensureRunnerLayer(directory: string, placeBundle: PlaceBundle): Promise<RunnerLayer> {
  // Several providers of one server share the directory, and would build over each other.
  const before = building.get(directory) ?? Promise.resolve();
  const mine = before.then(() => buildLayer(directory, placeBundle));
  building.set(
    directory,
    mine.catch(() => {}),
  );
  return mine;
}

const building = new Map<string, Promise<unknown>>();

async function buildLayer(directory: string, placeBundle: PlaceBundle): Promise<RunnerLayer> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const node = await realpath(process.execPath);
  const libraries = await sharedLibraries(node);
  const base = join(directory, `base-${await baseVersion(node, libraries)}`);
  if (!existsSync(base)) await built(base, (staging) => placeBase(staging, basename(base), (into) => buildBase(into, node, libraries)));
  const bundle = join(directory, `.bundle-${process.pid}`);
  await rm(bundle, { recursive: true, force: true });
  try {
    const bundleVersion = await placeBundle(bundle);
    const version = createHash('sha256')
      .update(`${basename(base)}\0${bundleVersion}`)
      .digest('hex')
      .slice(0, 16);
    const path = join(directory, version);
    if (!existsSync(path)) await built(path, (staging) => assemble(staging, base, bundle));
    return { path, version, loader: libraries.loader };
  } finally {
    await rm(bundle, { recursive: true, force: true });
  }
}

async function baseVersion(node: string, { loader, libraries }: SharedLibraries): Promise<string> {
  const hash = createHash('sha256').update(`${recipe}\0${process.version}`);
  for (const file of [node, loader, ...libraries]) {
    const { size, mtimeMs } = await stat(file);
    hash.update(`\0${file}\0${size}\0${mtimeMs}`);
  }
  return hash.digest('hex').slice(0, 16);
}

/**
 * A quarter of a gigabyte is copied and rewritten: in a checkout, where installations come and go, once for all of them. They share
 * the files by hard link where the file system can.
 */
async function placeBase(staging: string, name: string, build: (into: string) => Promise<void>): Promise<void> {
  if (!isCheckout) return build(staging);
  const kept = join(checkoutCacheDir, name);
  if (!existsSync(kept)) {
    await mkdir(checkoutCacheDir, { recursive: true });
    await built(kept, build);
  }
  for (const part of layerParts) {
    await mkdir(join(staging, part));
    for (const file of await readdir(join(kept, part))) await linkOrCopy(join(kept, part, file), join(staging, part, file));
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV' && error.code !== 'EMLINK' && error.code !== 'EPERM') throw error;
    await copyFile(from, to);
    await chmod(to, (await stat(from)).mode & 0o777);
  });
}

async function buildBase(staging: string, node: string, { loader, libraries }: SharedLibraries): Promise<void> {
  const tini = await findProgram('tini-static');
  if (tini === null) throw new BerthError('unavailable', 'tini-static is not installed (apt-get install tini)');
  const [bin, lib] = [join(staging, 'bin'), join(staging, 'lib')];
  await mkdir(bin, { recursive: true });
  await mkdir(lib);
  await copyFile(tini, join(bin, 'tini'));
  for (const file of [loader, ...libraries]) await copyFile(file, join(lib, basename(file)));
  await copyFile(node, join(bin, 'node'));
  // DT_RPATH, not RUNPATH: only that also counts for the libraries that add-ons ask for.
  const guestLib = `${guestRunnerPath}/lib`;
  await mustRun('patchelf', [
    '--set-interpreter',
    `${guestLib}/${basename(loader)}`,
    '--force-rpath',
    '--set-rpath',
    guestLib,
    join(bin, 'node'),
  ]);
  for (const file of [join(bin, 'node'), join(bin, 'tini'), join(lib, basename(loader))]) await chmod(file, 0o755);
  await copyFile(join(bin, 'node'), join(bin, runnerProgram));
  await chmod(join(bin, runnerProgram), 0o711);
}

/** The large files are shared between versions by hard link. */
async function assemble(staging: string, base: string, bundle: string): Promise<void> {
  for (const part of layerParts) {
    await mkdir(join(staging, part));
    for (const name of await readdir(join(base, part))) await link(join(base, part, name), join(staging, part, name));
  }
  for (const name of await readdir(bundle)) await copyFile(join(bundle, name), join(staging, name));
}

let nextStaging = 0;

/** Builds a directory that is there whole or not at all. */
async function built(path: string, build: (staging: string) => Promise<void>): Promise<void> {
  const staging = `${path}.${process.pid}-${(nextStaging += 1)}`;
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { mode: 0o755 });
  try {
    await build(staging);
    await moveInto(staging, path);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
