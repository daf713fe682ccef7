import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { guestHome, guestUser } from '../../core/ports/sandbox-provider.ts';
import { guestStatePath } from '../providers/_shared/runner-process.ts';
import { orAborted } from '../or-aborted.ts';
import { mustRun, runCommand } from '../run-command.ts';
import type { RunnerLayer } from '../runner-layer/runner-layer.ts';
import type { Template } from '../templates/template.ts';
import { diskLabels } from './disk-labels.ts';

const mebibyte = 1024 ** 2;
/** Of a copied `/usr`, what no agent reads: it would be half of the image. */
const leftOut = ['share/doc', 'share/man', 'share/locale', 'share/info', 'lib/modules', 'lib/firmware', 'src', 'lib/debug'];
/** Changes with the way of building, so that an upgrade builds anew. */
const recipe = '1';

/**
 * The file system images that all guests share, read-only, as files of `directory`. Each is built when it is first asked
 * for, beside and renamed, and named by what is in it.
 */
export interface Images {
  root(template: Template, signal: AbortSignal): Promise<string>;
  runner(layer: RunnerLayer, signal: AbortSignal): Promise<string>;
  /** An empty, formatted disk of that size. Takes next to no space. */
  blank(sizeBytes: number, signal: AbortSignal): Promise<string>;
  /**
   * Removes images of templates and runners of the past: those that are not named and that nobody has asked for in weeks. A
   * sandbox that starts again has its own built again.
   */
  removeOld(named: ReadonlySet<string>): Promise<void>;
  /** Resolves when nothing is being built. */
  idle(): Promise<void>;
}

/** A root image may be gigabytes and take minutes; who goes back to a template does so within days. */
const keptMs = 14 * 24 * 60 * 60 * 1000;
/** Empty disks are not among them: others are layers on top of them. */
const removable = /^(root|runner)-.*\.img$/;

async function used(path: string): Promise<string> {
  const now = new Date();
  await utimes(path, now, now);
  return path;
}

export function openImages(directory: string): Images {
  const building = new Map<string, Promise<string>>();

  /** One build of each at a time, which those who ask meanwhile share. It goes on when the one who began it gives up. */
  function built(name: string, signal: AbortSignal, build: (path: string) => Promise<void>): Promise<string> {
    signal.throwIfAborted();
    const path = join(directory, name);
    if (existsSync(path)) return used(path);
    let running = building.get(name);
    if (running === undefined) {
      running = buildBeside(path, build).finally(() => building.delete(name));
      building.set(name, running);
    }
    return orAborted(running, signal);
  }

  return {
    root(template, signal) {
      const hash = hashOf(recipe, template.version, JSON.stringify(template.binds));
      return built(`root-${template.name}-${hash}.img`, signal, (path) => buildRoot(path, template));
    },
    runner: (layer, signal) =>
      built(`runner-${layer.version}.img`, signal, (path) => buildFileSystem(path, layer.path, diskLabels.runner)),
    blank: (sizeBytes, signal) =>
      built(`blank-${recipe}-${sizeBytes}.img`, signal, async (path) => {
        const tree = `${path}.tree`;
        await layOutDisk(tree);
        await writeFile(path, '');
        await truncate(path, sizeBytes);
        // No blocks are kept for root: what the caller asked for is what the sandbox gets.
        await mustRun('mke2fs', ['-q', '-F', '-t', 'ext4', '-m', '0', '-L', diskLabels.own, '-d', tree, path]).finally(() =>
          rm(tree, { recursive: true, force: true }),
        );
      }),
    async removeOld(named) {
      for (const name of existsSync(directory) ? await readdir(directory) : []) {
        const path = join(directory, name);
        if (!removable.test(name) || named.has(path)) continue;
        if (Date.now() - (await stat(path)).mtimeMs > keptMs) await rm(path, { force: true });
      }
    },
    async idle() {
      await Promise.allSettled(building.values());
    },
  };
}

async function buildBeside(path: string, build: (path: string) => Promise<void>): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await rm(beside, { force: true });
  try {
    await build(beside);
    // Machines run as users of their own, and all read it.
    await chmod(beside, 0o444);
    await rename(beside, path);
  } finally {
    await rm(beside, { force: true });
  }
  return path;
}

/** What every sandbox has above its template. Made once, on the host, as a guest takes long over it. */
async function layOutDisk(tree: string): Promise<void> {
  await rm(tree, { recursive: true, force: true });
  const { uid, gid } = guestUser;
  for (const name of ['proc', 'sys', 'dev', 'run', 'berth']) await mkdir(join(tree, 'upper', name), { recursive: true });
  await mkdir(join(tree, 'work'));
  const state = join(tree, 'upper', guestStatePath);
  for (const path of [join(tree, 'upper', guestHome), state, join(tree, 'upper/tmp')]) await mkdir(path, { recursive: true });
  await chmod(state, 0o700);
  await chmod(join(tree, 'upper/tmp'), 0o1777);
  for (const path of [join(tree, 'upper', guestHome), state]) await chown(path, uid, gid);
}

/** The template with its binds in their places, seen through mounts that only the program that copies has. */
async function buildRoot(path: string, template: Template): Promise<void> {
  const staging = `${path}.tree`;
  await mkdir(staging, { recursive: true });
  try {
    const mounts = template.binds.flatMap(({ source, destination }) => [source, destination]);
    await buildFileSystem(path, staging, diskLabels.root, inPrivateMounts([staging, template.rootfs, ...mounts]));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** $1 where, $2 root, then source and destination of each bind; `--`, and the program to run. */
const mountScript = `set -e
staging=$1; mount --bind "$2" "$staging"; shift 2
while [ "$1" != -- ]; do
  mount --bind "$1" "$staging$2"
  for name in ${leftOut.join(' ')}; do
    [ ! -d "$staging$2/$name" ] || mount -t tmpfs tmpfs "$staging$2/$name"
  done
  shift 2
done
shift
exec "$@"`;

/** Before a program's own command: it then sees the tree put together, and nobody else does. */
function inPrivateMounts(args: readonly string[]): string[] {
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mountScript, 'sh', ...args, '--'];
}

/** An ext4 file system with what is in a directory, just large enough. `within`: a program before each that is run. */
export async function buildFileSystem(path: string, tree: string, label: string, within: readonly string[] = []): Promise<void> {
  const run = (argv: readonly string[]) => {
    const [file, ...args] = [...within, ...argv] as [string, ...string[]];
    return runCommand(file, args);
  };
  const [sized, counted] = [
    await run(['du', '--summarize', '--block-size=1', tree]),
    await run(['du', '--summarize', '--inodes', tree]),
  ];
  const [bytes, inodes] = [Number.parseInt(sized.stdout, 10), Number.parseInt(counted.stdout, 10)];
  const sizeBytes = Math.ceil((bytes * 1.05 + inodes * 512 + 32 * mebibyte) / mebibyte) * mebibyte;
  await writeFile(path, '');
  await truncate(path, sizeBytes);
  // Never written again, so without what only writing needs.
  const features = '^has_journal,^resize_inode';
  const [file, ...args] = [
    ...within,
    ...['mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-m', '0', '-O', features],
    ...['-N', String(inodes + 1024), '-L', label, '-d', tree, path],
  ] as [string, ...string[]];
  await mustRun(file, args);
}

export function hashOf(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 16);
}
