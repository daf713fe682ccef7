import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { mkdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SandboxInfo, SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { realDirectory } from '../../templates/assemble.ts';
import type { Template } from '../../templates/template.ts';
import { openCgroup, type SandboxCgroup } from '../_shared/cgroup.ts';
import { openFreezer, type Freezer } from '../_shared/freezer.ts';
import { connect } from './connect.ts';
import { prepareRunDirectory } from '../_shared/run-directory.ts';
import { layOutDisk } from '../_shared/disk-layout.ts';
import type { Installation } from './installation.ts';
import { diskPaths, sandboxPaths, type DiskPaths, type SandboxPaths } from './paths.ts';
import { readRecord, writeRecord, type SandboxRecord } from './record.ts';
import { isHibernated, memoryImage, removeImage } from './memory-image.ts';
import { mountRoot, unmountRoot } from './root-mount.ts';
import { waitForRunner } from '../_shared/runner-socket.ts';
import { createRuntimeConfig } from './runtime-config.ts';
import { tail } from '../../tail-file.ts';

/**
 * One sandbox's parts on the host, in the order in which they are made: directory with record, disk,
 * root mount, cgroup with processes and the runtime's state, the network where it has one. They are taken away in the reverse order,
 * each step a no-op when done, so `remove` ends whatever a crash at any instant left.
 */
export interface SandboxParts {
  id: string;
  paths: SandboxPaths;
  disk: DiskPaths;
  cgroup: SandboxCgroup;
  freezer: Freezer;
}

export function sandboxParts(installation: Installation, id: string): SandboxParts {
  return {
    id,
    paths: sandboxPaths(installation.sandboxesDir, id),
    disk: diskPaths(installation.storage.diskPath(id)),
    cgroup: openCgroup(installation.cgroups, installation.cgroupPath(id)),
    freezer: openFreezer(installation.cgroups, installation.cgroupPath(id)),
  };
}

export async function makeSandbox(
  installation: Installation,
  record: SandboxRecord,
  template: Template,
  signal: AbortSignal,
): Promise<void> {
  const parts = sandboxParts(installation, record.id);
  const { storage } = installation;
  try {
    await mkdir(parts.paths.directory, { mode: 0o700 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new BerthError('conflict', `sandbox ${record.id} exists`, { cause });
  }
  try {
    await writeFile(parts.paths.creating, '');
    // The record's way to the disk is as long as everything else up to the start, so both go side by side.
    await allDone([
      writeRecord(parts.paths.record, record),
      (async () => {
        const path = await storage.createDisk(record.id, signal);
        const limited = storage.limitsDisk
          ? storage.limitDisk(record.id, record.limits.diskBytes, signal)
          : Promise.resolve();
        // Its failure is told below: until then nobody waits for it, and it would end the server.
        limited.catch(() => {});
        await mkdir(storage.objectsPath(record.id), { recursive: true, mode: 0o755 });
        await layOutDisk(diskPaths(path), template);
        await allDone([limited, bootSandbox(installation, parts, record, template, signal, () => limited)]);
      })(),
    ]);
    await unlink(parts.paths.creating);
  } catch (error) {
    await removeSandbox(installation, record.id);
    throw error;
  }
}

/**
 * Mounts the root and starts the runner; the disk must be there and nothing may run. Resolves when
 * the runner answers. `ready` is awaited before the first process of the sandbox starts.
 */
export async function bootSandbox(
  installation: Installation,
  parts: SandboxParts,
  record: SandboxRecord,
  template: Template,
  signal: AbortSignal,
  ready: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const { runtime, cgroups } = installation;
  const [layer] = await Promise.all([installation.layer(), mountRoot(template, parts.paths, parts.disk, signal)]);
  prepareRunDirectory(parts.disk.run, record.runnerToken);
  const config = createRuntimeConfig({
    record,
    template,
    layer,
    paths: parts.paths,
    disk: parts.disk,
    objectsDir: installation.storage.objectsPath(parts.id),
    agentsDir: installation.agentsDir,
    cgroups,
    cgroupPath: installation.cgroupPath(parts.id),
    maxOpenFiles: installation.maxOpenFiles,
    templateHasLoader: hasLoader(template, layer.loader),
    gvisor: runtime.name === 'runsc',
    answersNames: installation.network !== null,
  });
  await writeFile(parts.paths.config, JSON.stringify(config), { mode: 0o600 });
  await ready();
  if (runtime.startsInCgroup) await parts.cgroup.make(record.limits);
  // Both end when one fails: a runner that will never come is not waited for.
  const failing = new AbortController();
  const both = AbortSignal.any([signal, failing.signal]);
  const alive = async () => !started || !(await parts.cgroup.isEmpty());
  let started = false;
  try {
    await allDone([
      runtime
        .run(
          {
            id: parts.id,
            bundle: parts.paths.directory,
            logFile: parts.disk.log,
            cgroupDirectories: parts.cgroup.directories,
          },
          signal,
        )
        .then(() => (started = true))
        .then(() => connect(installation, parts, record))
        .catch((error: unknown) => {
          failing.abort(error);
          throw error;
        }),
      waitForRunner(parts.disk.run, alive, both),
    ]);
  } catch (error) {
    if (signal.aborted || !(error instanceof BerthError)) throw error;
    const log = await tail(parts.disk.log);
    throw new BerthError(error.code, error.message, { cause: error, context: { ...error.context, log } });
  }
}

/** As `bootSandbox`, of one that was made before: with the runner's layer of today, which its record then names. */
export async function rebootSandbox(
  installation: Installation,
  parts: SandboxParts,
  record: SandboxRecord,
  template: Template,
  signal: AbortSignal,
): Promise<void> {
  const { version } = await installation.layer();
  const started = { ...record, runnerVersion: version };
  if (record.runnerVersion !== version) await writeRecord(parts.paths.record, started);
  await withRoom(installation, record, () => bootSandbox(installation, parts, started, template, signal));
}

/** Of btrfs's reservations for the run directory, the token, the socket and the overlay's own. */
const roomToStartBytes = 16 * 1024 ** 2;
const limitTimeoutMs = 10_000;

/**
 * A start writes a few files on the sandbox's disk, and one that is full could never be started to be emptied. So the limit is
 * higher for as long as a start takes; from then on a disk that is full is full again.
 */
async function withRoom(
  { storage }: Installation,
  { id, limits }: SandboxRecord,
  start: () => Promise<void>,
): Promise<void> {
  if (!storage.limitsDisk) return start();
  // A caller who leaves does not leave the limit raised.
  const limit = (sizeBytes: number) => storage.limitDisk(id, sizeBytes, AbortSignal.timeout(limitTimeoutMs));
  await limit(limits.diskBytes + roomToStartBytes);
  try {
    await start();
  } finally {
    await limit(limits.diskBytes);
  }
}

/** Ends the processes and takes the runtime's state, the cgroup and the mount away. With grace, the runner may end its own first. */
export async function haltSandbox(installation: Installation, parts: SandboxParts, graceMs: number): Promise<void> {
  if (graceMs > 0) await parts.cgroup.endGently(graceMs);
  await parts.cgroup.kill();
  await installation.runtime.forget(parts.id);
  await parts.cgroup.kill();
  await installation.network?.detach(parts.id);
  await parts.cgroup.remove();
  await unmountRoot(parts.paths);
}

/** Removes whatever there is of a sandbox; the record goes last. Idempotent. */
export async function removeSandbox(installation: Installation, id: string): Promise<void> {
  const parts = sandboxParts(installation, id);
  await haltSandbox(installation, parts, 0);
  await removeImage(memoryImage(installation.imagesDir, id));
  await installation.storage.removeDisk(id);
  await rm(parts.paths.record, { force: true });
  await rmdir(parts.paths.rootfs).catch((error: NodeJS.ErrnoException) => {
    // Never recursively: should the root still be mounted, the sandbox's files would be what is removed.
    if (error.code !== 'ENOENT') throw error;
  });
  await rm(parts.paths.directory, { recursive: true, force: true });
}

/** Ids of all of which anything is there. */
export async function sandboxIds(installation: Installation): Promise<string[]> {
  const ids = new Set([...readdirSync(installation.sandboxesDir), ...(await installation.storage.listDisks())]);
  return [...ids].toSorted();
}

/** `null` when there is nothing of it. */
export async function inspectSandbox(installation: Installation, id: string): Promise<SandboxInfo | null> {
  const parts = sandboxParts(installation, id);
  const hasDisk = existsSync(installation.storage.diskPath(id));
  if (!hasDisk && !existsSync(parts.paths.directory)) return null;
  const record = await readRecord(parts.paths.record);
  const reference = `${installation.runtime.name}:${installation.cgroupPath(id)}`;
  if (record === null) {
    const limits = { cpus: 0, memoryBytes: 0, pids: 0, diskBytes: 0 };
    return { id, status: 'broken', template: '', labels: {}, limits, reference, createdAt: new Date(0).toISOString() };
  }
  const whole = hasDisk && !existsSync(parts.paths.creating);
  const status: SandboxStatus = whole ? await statusOf(installation, parts) : 'broken';
  const info = describeSandbox(installation, record, status);
  return status === 'running' && (await isOutdated(installation, record)) ? { ...info, outdated: true } : info;
}

/** Whether a new sandbox would have another template or another runner. A template that is gone has no newer version. */
async function isOutdated(installation: Installation, record: SandboxRecord): Promise<boolean> {
  if (record.runnerVersion !== undefined && record.runnerVersion !== (await installation.layer()).version) return true;
  const current = await installation.templates.current(record.template.name).catch((error: unknown) => {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  });
  return current !== null && current.version !== record.template.version;
}

async function statusOf(installation: Installation, parts: SandboxParts): Promise<SandboxStatus> {
  if (isHibernated(memoryImage(installation.imagesDir, parts.id))) return 'hibernated';
  if (await parts.cgroup.isEmpty()) return 'stopped';
  // One that is held for a moment, for a copy, goes on by itself.
  return parts.freezer.state() === 'frozen' && !existsSync(parts.paths.held) ? 'paused' : 'running';
}

export function describeSandbox(installation: Installation, record: SandboxRecord, status: SandboxStatus): SandboxInfo {
  return {
    id: record.id,
    status,
    template: record.template.name,
    labels: record.labels,
    limits: record.limits,
    ...(record.network === 'none' ? {} : { network: record.network }),
    reference: `${installation.runtime.name}:${installation.cgroupPath(record.id)}`,
    createdAt: record.createdAt,
  };
}

function hasLoader(template: Template, loader: string): boolean {
  // A template that shows the host's /usr has the host's loader, behind a link that leads there.
  return (
    template.binds.some((bind) => bind.destination === '/usr') ||
    // Its own links may be absolute: on this machine they would lead to the machine's.
    [loader, `/usr${loader}`].some((path) => hasFile(template.rootfs, path))
  );
}

function hasFile(root: string, path: string): boolean {
  const directory = realDirectory(root, dirname(path));
  return directory !== null && lstatSync(join(directory, basename(path)), { throwIfNoEntry: false }) !== undefined;
}

/** As `Promise.all`, but a failure is thrown only when all have ended, so that nothing goes on behind a clean-up. */
export async function allDone(promises: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(promises);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
