import { existsSync } from 'node:fs';
import { open, rename, rm, stat, statfs, writeFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import { wokenUp } from '../../microvm/woken-up.ts';
import { mustRun } from '../../run-command.ts';
import { saveMemory } from './memory-transfer.ts';
import { openQmp } from './qmp.ts';
import type { SandboxRecord } from './record.ts';
import { haltSandbox, loadMachine, startSandbox, type Context, type SandboxParts } from './sandbox.ts';

/** Kept free beyond what the memory may take. */
const reservedBytes = 256 * 1024 ** 2;
/** What a guest takes to write what it has not written yet. */
const syncMs = 20_000;
/** In which a guest that was woken has answered, where its instructions are translated too. */
const answerMs = 30_000;

/** Has the guest write everything to its disk: what is then read from there without it, a fork or a start, has it. */
export async function syncGuest({ installation }: Context, parts: SandboxParts, signal: AbortSignal): Promise<void> {
  // A guest that does not is hostile or broken, and loses only its own.
  await installation.control.tell(parts.sockets.control, ['sync'], AbortSignal.any([signal, AbortSignal.timeout(syncMs)])).catch(() => signal.throwIfAborted());
}

/**
 * Hibernate: stand still, write the memory beside, sync, rename, end the machine. Up to the rename a crash or a failure leaves
 * the machine, which goes on; from then on the sandbox hibernates.
 */
export async function hibernateSandbox(
  context: Context,
  parts: SandboxParts,
  record: SandboxRecord,
  wasPaused: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { memory, directory } = parts.paths;
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < record.limits.memoryBytes / 4 + reservedBytes) {
    throw new BerthError('resource_exhausted', 'the disk has too little room for the memory', { context: { freeBytes: bavail * bsize } });
  }
  if (!wasPaused) await syncGuest(context, parts, signal);
  await context.channels.drop(parts.id);
  const beside = `${memory}.new`;
  const qmp = await openQmp(parts.sockets.monitor, signal);
  try {
    if (!wasPaused) await qmp.run('stop');
    await saveMemory(qmp, parts.sockets.memory, record.uid, beside, signal);
    await writeFile(`${memory}.size`, String((await stat(beside)).size));
    signal.throwIfAborted();
    await mustRun('sync', ['--', join(directory, record.disk), `${memory}.size`]);
    await rename(beside, memory);
    await syncDirectory(directory);
  } catch (error) {
    await rm(beside, { force: true });
    qmp.close();
    if (!existsSync(memory) && !wasPaused) await goOn(parts);
    throw error;
  }
  qmp.close();
  await haltSandbox(context, parts.id, record.uid);
}

async function goOn(parts: SandboxParts): Promise<void> {
  // A connection of its own: that of the call ended with the call.
  const qmp = await openQmp(parts.sockets.monitor, AbortSignal.timeout(answerMs));
  try {
    await qmp.run('cont');
  } finally {
    qmp.close();
  }
}

/** Resolves to why the processes were lost, `null` when they go on. Throws when it does not run either way. */
export async function wakeSandbox(
  context: Context,
  parts: SandboxParts,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<string | null> {
  const { memory, directory } = parts.paths;
  const waking = `${memory}.waking`;
  await haltSandbox(context, parts.id, record.uid);
  if (!existsSync(waking)) await rename(memory, waking);
  let ran = false;
  let reason: string | null = null;
  try {
    const written = Number(await readFile(`${memory}.size`, 'utf8').catch(() => '0'));
    if ((await stat(waking)).size !== written) throw new BerthError('upstream_failed', 'the memory is damaged');
    // Not cancelled: it takes moments, and what is half woken is lost.
    const limit = AbortSignal.timeout(answerMs);
    await loadMachine(context.installation, parts, record, waking, limit, async () => {
      await rm(waking);
      await syncDirectory(directory);
      ran = true;
    });
    await wokenUp(context.installation.control, parts.sockets.control, limit);
    const channel = await context.channels.of(parts.id, parts.sockets.link, limit);
    await waitForHealth(() => channel.dial(limit), limit);
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  if (reason !== null) {
    await haltSandbox(context, parts.id, record.uid);
    try {
      await startSandbox(context, parts, record, signal);
    } catch (error) {
      await haltSandbox(context, parts.id, record.uid);
      // As long as no process of it has run, the memory is as good as before.
      if (!ran) await rename(waking, memory);
      throw error;
    }
  }
  await forgetMemory(parts);
  return reason;
}

export async function forgetMemory({ paths: { memory } }: SandboxParts): Promise<void> {
  for (const suffix of ['', '.waking', '.new', '.size']) await rm(`${memory}${suffix}`, { force: true });
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Settles what a crash in the middle left: nothing of a memory that is being woken has run while it is there. */
export async function recoverMemory(context: Context, parts: SandboxParts, record: SandboxRecord): Promise<void> {
  const { memory } = parts.paths;
  if (existsSync(`${memory}.waking`)) {
    await haltSandbox(context, parts.id, record.uid);
    await rename(`${memory}.waking`, memory);
  } else if (existsSync(memory)) {
    await haltSandbox(context, parts.id, record.uid);
  }
  await rm(`${memory}.new`, { force: true });
  if (!existsSync(memory)) await rm(`${memory}.size`, { force: true });
}
