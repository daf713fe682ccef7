import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { BerthError } from '../../../protocol/errors.ts';
import type { Checkpointer } from './checkpointer.ts';
import { connect, connectionScript } from './connect.ts';
import { takeImageLock, type ImageLock } from './image-lock.ts';
import type { Installation } from './installation.ts';
import {
  beginWaking,
  commitImage,
  imageIds,
  isSameBoot,
  memoryImage,
  readFacts,
  removeImage,
  removeRetired,
  retireImage,
  revertWaking,
  startImage,
  writeFacts,
  type MemoryImage,
} from './memory-image.ts';
import { readRecord, type SandboxRecord } from './record.ts';
import { mountRoot } from './root-mount.ts';
import { waitForRunner } from '../_shared/runner-socket.ts';
import { allDone, haltSandbox, rebootSandbox, sandboxParts, type SandboxParts } from './sandbox.ts';
import { letGo } from './stillness.ts';

/** In which time a runner that is there has answered, on a machine with much to do. */
const answerMs = 10_000;
/** Kept free of an image, for what the sandboxes themselves write. */
const reservedBytes = 256 * 1024 ** 2;

/**
 * Hibernate: freeze, write the image beside, sync, rename, end the processes. Up to the rename a crash or a failure
 * leaves the processes, which go on; from the rename on the sandbox is hibernated, and ending what is
 * left is repeated by whoever comes next.
 */
export async function hibernateSandbox(
  installation: Installation,
  checkpointer: Checkpointer,
  parts: SandboxParts,
  signal: AbortSignal,
): Promise<void> {
  const image = memoryImage(installation.imagesDir, parts.id);
  const paused = parts.freezer.state() === 'frozen';
  await demandSpace(installation, parts);
  const lock = await lockImage(image, parts);
  try {
    await checkpointer.settle(parts, paused, signal);
    const description = await checkpointer.describe(parts);
    await startImage(image);
    // Nobody sends to processes that are being written, and an image has no interface that its restore would miss.
    await installation.network?.detach(parts.id);
    await checkpointer.dump(parts, image.pending, description, lock);
    await writeFacts(image.pending, { description });
    signal.throwIfAborted();
    await commitImage(image, installation.imagesDir);
  } catch (error) {
    // CRIU may outlive a runtime that was ended from outside.
    await lock.close();
    await (await lockImage(image, parts)).close();
    await rm(image.pending, { recursive: true, force: true });
    await checkpointer.unsettle(parts);
    throw await goOn(installation, parts, paused, await reconnect(installation, parts, error));
  } finally {
    await lock.close();
    await rm(image.lock, { force: true });
  }
  // What the runtime keeps is one directory; starting it to remove that takes longer than all the rest.
  await parts.cgroup.kill();
  await installation.runtime.forgetEnded(parts.id);
  await haltSandbox(installation, parts, 0);
  await rm(parts.paths.held, { force: true });
}

/** Resolves to the error to throw. A network that does not come back is not worth the processes. */
async function reconnect(installation: Installation, parts: SandboxParts, error: unknown): Promise<unknown> {
  const record = await readRecord(parts.paths.record);
  if (record === null || installation.network?.isAttached(parts.id) !== false) return error;
  try {
    await connect(installation, parts, record);
    return error;
  } catch (cause) {
    const reason = error instanceof Error ? error.message : String(error);
    return new BerthError('upstream_failed', `${reason}; its network could not be connected again`, { cause });
  }
}

/** After a checkpoint that failed: the sandbox is what it was before. Resolves to the error to throw. */
async function goOn(
  installation: Installation,
  parts: SandboxParts,
  paused: boolean,
  error: unknown,
): Promise<unknown> {
  if (paused) {
    await parts.freezer.freeze();
    return error;
  }
  letGo(parts);
  if (await isAnswering(parts)) return error;
  // A checkpoint that was ended from outside leaves its code in the processes.
  await haltSandbox(installation, parts, 0);
  const reason = error instanceof Error ? error.message : String(error);
  return new BerthError(
    'upstream_failed',
    `${reason}; its processes did not go on and were ended, its files are kept`,
    {
      cause: error,
    },
  );
}

/** Resolves to why the processes were lost, `null` when they go on. Throws when it does not run either way. */
export async function wakeSandbox(
  installation: Installation,
  checkpointer: Checkpointer | null,
  parts: SandboxParts,
  signal: AbortSignal,
): Promise<string | null> {
  const image = memoryImage(installation.imagesDir, parts.id);
  const record = await readRecord(parts.paths.record);
  if (record === null) throw new BerthError('conflict', `sandbox ${parts.id} is broken: it can only be destroyed`);
  const template = await installation.templates.version(record.template.name, record.template.version);
  // Nothing of it runs; a crash may have left a mount or the frozen processes that the image was made of.
  await haltSandbox(installation, parts, 0);
  signal.throwIfAborted();
  const lock = await lockImage(image, parts);
  let lost: Lost | null;
  try {
    await allDone([beginWaking(image, installation.imagesDir), mountRoot(template, parts.paths, parts.disk, signal)]);
    lost = await restoreImage(installation, checkpointer, record, parts, image, lock);
  } finally {
    await lock.close();
    await rm(image.lock, { force: true });
  }
  if (lost !== null) {
    await haltSandbox(installation, parts, 0);
    try {
      await rebootSandbox(installation, parts, record, template, signal);
    } catch (error) {
      await haltSandbox(installation, parts, 0);
      // As long as no process of it has run, the image is as good as before.
      await (lost.stale ? removeImage(image) : revertWaking(image));
      throw error;
    }
  }
  await retireImage(image);
  installation.background(removeRetired(installation.imagesDir, parts.id));
  return lost?.reason ?? null;
}

interface Lost {
  reason: string;
  /** Whether processes have run, so that the image does not fit the disk any more. */
  stale: boolean;
}

/** Not cancelled: it takes moments, and what is half restored is lost. `null`: the processes go on. */
async function restoreImage(
  installation: Installation,
  checkpointer: Checkpointer | null,
  record: SandboxRecord,
  parts: SandboxParts,
  image: MemoryImage,
  lock: ImageLock,
): Promise<Lost | null> {
  const lose = (reason: string, stale = false) => ({ reason, stale });
  if (checkpointer === null) return lose('the program that restores it is not there any more');
  const facts = await readFacts(image.waking);
  if (facts === null) return lose('the image is damaged');
  try {
    await checkpointer.restore(parts, image.waking, facts.description, lock, await connectionScript(installation, record));
  } catch (error) {
    return lose(error instanceof Error ? error.message : String(error));
  }
  return (await isAnswering(parts)) ? null : lose('its processes came back, but the runner does not answer', true);
}

/** Settles what a crash in the middle of a hibernate or a wake left. Called when nothing else of this installation is at work. */
export async function recoverImages(installation: Installation): Promise<void> {
  await removeRetired(installation.imagesDir);
  await Promise.all((await imageIds(installation.imagesDir)).map((id) => recoverImage(installation, id)));
}

async function recoverImage(installation: Installation, id: string): Promise<void> {
  const parts = sandboxParts(installation, id);
  const image = memoryImage(installation.imagesDir, id);
  const lock = await lockImage(image, parts);
  await lock.close();
  if (!existsSync(parts.paths.directory)) return removeImage(image);
  if (existsSync(image.waking)) {
    // The restore went to its end without Berth.
    if (await isAnswering(parts)) return removeImage(image);
    const stale = installation.runtime.knows(id) || !(await isSameBoot(image));
    await haltSandbox(installation, parts, 0);
    return stale ? removeImage(image) : revertWaking(image);
  }
  if (existsSync(image.final)) {
    await haltSandbox(installation, parts, 0);
    await rm(parts.paths.held, { force: true });
  } else await installation.checkpointer?.unsettle(parts);
  // One that was being written; its processes are let go on by `recoverStillness`.
  await rm(image.pending, { recursive: true, force: true });
  await rm(image.lock, { force: true });
}

const lockDeadlineSeconds = 120;

/** Waits for a checkpoint or a restore that goes on although its starter is gone. One that hangs ends with the processes. */
async function lockImage(image: MemoryImage, parts: SandboxParts): Promise<ImageLock> {
  const lock = await takeImageLock(image.lock, lockDeadlineSeconds);
  if (lock !== null) return lock;
  await parts.cgroup.kill();
  const second = await takeImageLock(image.lock, lockDeadlineSeconds);
  if (second === null) throw new BerthError('timeout', `someone is still at work on ${image.final}`);
  return second;
}

async function isAnswering(parts: SandboxParts): Promise<boolean> {
  const isAlive = async () => !(await parts.cgroup.isEmpty());
  if (!(await isAlive())) return false;
  return waitForRunner(parts.disk.run, isAlive, AbortSignal.timeout(answerMs)).then(
    () => true,
    () => false,
  );
}

async function demandSpace(installation: Installation, parts: SandboxParts): Promise<void> {
  const { memoryBytes } = await parts.cgroup.usage();
  const freeBytes = await installation.storage.makeRoom(memoryBytes + reservedBytes);
  if (freeBytes >= memoryBytes + reservedBytes) return;
  throw new BerthError('resource_exhausted', 'the disk has no room for the memory of the sandbox', {
    context: { freeBytes, memoryBytes },
  });
}
