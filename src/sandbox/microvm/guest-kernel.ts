import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { canFetchPackages, unpackPackagesAlone } from '../debian-packages.ts';
import { buildInitramfs } from './initramfs.ts';
import { unpackKernel } from './unpack-kernel.ts';

/** What a guest is booted with: a kernel, and an initramfs with its modules and Berth's init. */
export interface GuestKernel {
  kernel: string;
  initramfs: string;
  /** Changes with either. */
  version: string;
}

/** Where `scripts/setup.sh` puts it, beside CRIU and for the same reason. */
export const fetchedKernelDir = join(import.meta.dirname, '../../../.cache/microvm');

const fetchDeadlineMs = 120_000;
/** Its cloud kernel is a long-term one and has virtio for machines without PCI; its busybox has what the init needs. */
const suite = 'bookworm';

/** The newest of what was fetched, with the initramfs of this version of Berth; or `null`. Fetches nothing. */
export async function findGuestKernel(directory: string = fetchedKernelDir): Promise<GuestKernel | null> {
  const names = existsSync(directory) ? (await readdir(directory)).filter((name) => /^\d/.test(name)) : [];
  const newest = names.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return newest === undefined ? null : ensureInitramfs(join(directory, newest), newest);
}

/** What `findGuestKernel` finds, else one from Debian's packages (28 MB). Throws `unavailable` with the reason. */
export async function fetchGuestKernel(directory: string = fetchedKernelDir): Promise<GuestKernel> {
  const found = await findGuestKernel(directory);
  if (found !== null) return found;
  if (process.arch !== 'x64') {
    throw new BerthError('unavailable', `there are no microVMs on ${process.arch} yet: the machine type is of x86-64`);
  }
  if (!canFetchPackages()) {
    const reason = 'this is not Debian or Ubuntu with the keyring of the archive of Debian';
    throw new BerthError('unavailable', `no kernel for microVMs, and none can be fetched: ${reason}`);
  }
  const staging = join(directory, `.new-${process.pid}`);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true, mode: 0o755 });
  try {
    const signal = AbortSignal.timeout(fetchDeadlineMs);
    const root = join(staging, 'root');
    const packages = [{ firstDependencyOf: 'linux-image-cloud-amd64' }, 'busybox-static'];
    await unpackPackagesAlone(packages, suite, join(staging, 'apt'), root, signal);
    const version = (await readdir(join(root, 'lib/modules')))[0];
    if (version === undefined) throw new BerthError('unavailable', "Debian's kernel package has no modules");
    const whole = join(staging, 'whole');
    await mkdir(whole);
    await copyFile(join(root, 'boot', `vmlinuz-${version}`), join(whole, 'vmlinuz'));
    await rename(join(root, 'lib/modules', version, 'kernel'), join(whole, 'modules'));
    await copyFile(join(root, 'bin/busybox'), join(whole, 'busybox'));
    const path = join(directory, version);
    await rm(path, { recursive: true, force: true });
    await rename(whole, path);
    return await ensureInitramfs(path, version);
  } catch (cause) {
    if (cause instanceof BerthError && cause.code === 'unavailable') throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('unavailable', `the kernel for microVMs could not be fetched: ${reason}`, { cause });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Built when this version of Berth first needs it. */
async function ensureInitramfs(directory: string, kernelVersion: string): Promise<GuestKernel> {
  const built = await buildInitramfs(directory);
  const initramfs = join(directory, `initramfs-${built.version}`);
  if (!existsSync(initramfs)) {
    const beside = `${initramfs}.${process.pid}`;
    await writeFile(beside, built.content);
    await rename(beside, initramfs);
  }
  return { kernel: join(directory, 'vmlinuz'), initramfs, version: `${kernelVersion}-${built.version}` };
}

/** `bzImage`: packed, with a loader of its own. `elf`: what is in it, for machines that bring none. */
export type KernelForm = 'bzImage' | 'elf';

/** A copy that machines can read, and that stays as it is for those that began with it. */
export async function placeKernel(directory: string, kernel: GuestKernel, form: KernelForm): Promise<GuestKernel> {
  const path = join(directory, kernel.version);
  const names = { kernel: form === 'elf' ? 'vmlinux' : 'vmlinuz', initramfs: basename(kernel.initramfs) };
  const placed = { kernel: join(path, names.kernel), initramfs: join(path, names.initramfs), version: kernel.version };
  if (existsSync(path)) return placed;
  const beside = `${path}.${process.pid}`;
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { recursive: true, mode: 0o711 });
  if (form === 'elf') await writeFile(join(beside, names.kernel), unpackKernel(await readFile(kernel.kernel)));
  else await copyFile(kernel.kernel, join(beside, names.kernel));
  await copyFile(kernel.initramfs, join(beside, names.initramfs));
  for (const name of Object.values(names)) await chmod(join(beside, name), 0o444);
  await rename(beside, path);
  return placed;
}
