import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { dump, mayHaveRun, restore, waitForDump } from './checkpoint-cli.ts';
import type { Criu } from './criu/ensure-criu.ts';
import type { Installation } from './installation.ts';
import { beginWaking, commitImage, imageIds, isSameBoot, memoryImage, readFacts, removeImage, revertWaking, startImage } from './memory-image.ts';
import { awaitOuterStreams, hasOuterStream } from './outer-streams.ts';
import { readRecord } from './record.ts';
import { raiseLoopback } from './loopback.ts';
import { mountRoot } from './root-mount.ts';
import { waitForRunner } from './runner-socket.ts';
import { bootSandbox, haltSandbox, sandboxParts, type SandboxParts } from './sandbox.ts';

/**
 * Hibernate: freeze, write the image beside, sync, rename, end the processes. Up to the rename a crash or a failure
 * leaves the processes, which go on; from the rename on the sandbox is hibernated, and ending what is
 * left is repeated by whoever comes next.
 */
export async function hibernateSandbox(installation: Installation, criu: Criu, parts: SandboxParts, signal: AbortSignal): Promise<void> {
  const image = memoryImage(installation.imagesDir, parts.id);
  const paused = parts.freezer.isFrozen();
  const [first] = await parts.cgroup.processes();
  if (first === undefined) throw new BerthError('conflict', `sandbox ${parts.id} does not run`);
  await mkdir(installation.imagesDir, { recursive: true, mode: 0o700 });
  try {
    await awaitOuterStreams(parts, signal);
    await parts.freezer.freeze(signal);
    // One that came in between.
    if (await hasOuterStream(parts)) throw new BerthError('conflict', `sandbox ${parts.id} is being talked to`);
    const logFile = await logFileOf(parts);
    await startImage(image, { logFile, paused });
    await dump(installation, criu, parts, image, logFile, signal);
    await commitImage(image, installation.imagesDir);
  } catch (error) {
    await waitForDump(image, parts);
    await rm(image.pending, { recursive: true, force: true });
    if (paused) await parts.freezer.freeze();
    else parts.freezer.thaw();
    throw error;
  }
  // What the runtime keeps is one directory; starting it to remove that takes longer than all the rest.
  await parts.cgroup.kill();
  await rm(join(installation.runtime.root, parts.id), { recursive: true, force: true });
  await haltSandbox(installation, parts, 0);
  await rm(image.lock, { force: true });
}

/** Resolves to why the processes were lost, `null` when they go on. Throws when it does not run either way. */
export async function wakeSandbox(installation: Installation, criu: () => Promise<Criu>, parts: SandboxParts, signal: AbortSignal): Promise<string | null> {
  const image = memoryImage(installation.imagesDir, parts.id);
  const record = await readRecord(parts.paths.record);
  if (record === null) throw new BerthError('conflict', `sandbox ${parts.id} is broken: it can only be destroyed`);
  const template = await installation.templates.version(record.template.name, record.template.version);
  // Nothing of it runs; a crash may have left a mount or the frozen processes that the image was made of.
  await haltSandbox(installation, parts, 0);
  await beginWaking(image);
  try {
    await mountRoot(template, parts.paths, parts.disk, signal);
    await restore(installation, await criu(), parts, image, signal);
    await raiseLoopback(parts.cgroup);
    await waitForRunner(parts.disk.run, async () => (await parts.cgroup.processes()).length > 0, signal);
    await removeImage(image);
    return null;
  } catch (error) {
    const stale = mayHaveRun(installation, parts.id);
    await haltSandbox(installation, parts, 0);
    if (signal.aborted) {
      await (stale ? removeImage(image) : revertWaking(image));
      throw error;
    }
    try {
      await bootSandbox(installation, parts, record, template, signal);
    } catch (second) {
      await haltSandbox(installation, parts, 0);
      await (stale ? removeImage(image) : revertWaking(image));
      throw second;
    }
    await removeImage(image);
    return error instanceof Error ? error.message : String(error);
  }
}

/** Settles what a crash in the middle of a hibernate or a wake left. Called when nothing else of this installation is at work. */
export async function recoverImages(installation: Installation): Promise<void> {
  if (!existsSync(installation.imagesDir)) return;
  await Promise.all((await imageIds(installation.imagesDir)).map((id) => recoverImage(installation, id)));
}

const answerMs = 3000;

async function recoverImage(installation: Installation, id: string): Promise<void> {
  const parts = sandboxParts(installation, id);
  const image = memoryImage(installation.imagesDir, id);
  await waitForDump(image, parts);
  if (!existsSync(parts.paths.directory)) return removeImage(image);
  if (existsSync(image.waking)) {
    if (await isAnswering(parts)) return rm(image.waking, { recursive: true, force: true });
    const stale = mayHaveRun(installation, id) || !(await isSameBoot(image));
    await haltSandbox(installation, parts, 0);
    return stale ? removeImage(image) : revertWaking(image);
  }
  if (existsSync(image.final)) return haltSandbox(installation, parts, 0);
  const facts = await readFacts(image.pending);
  await rm(image.pending, { recursive: true, force: true });
  if (facts?.paused !== true) parts.freezer.thaw();
}

async function isAnswering(parts: SandboxParts): Promise<boolean> {
  if ((await parts.cgroup.processes()).length === 0) return false;
  return waitForRunner(parts.disk.run, async () => true, AbortSignal.timeout(answerMs)).then(
    () => true,
    () => false,
  );
}

/** CRIU's name for what init prints to. The mount's number is part of it, and only the process knows that. */
async function logFileOf(parts: SandboxParts): Promise<string> {
  const init = await parts.cgroup.init();
  const info = init === null ? '' : await readFile(`/proc/${init}/fdinfo/1`, 'utf8');
  const [mount, inode] = [/^mnt_id:\s*(\d+)/m.exec(info)?.[1], /^ino:\s*(\d+)/m.exec(info)?.[1]];
  if (mount === undefined || inode === undefined) throw new BerthError('upstream_failed', `the kernel does not say what ${parts.id} prints to`);
  return `file[${Number(mount).toString(16)}:${Number(inode).toString(16)}]`;
}
