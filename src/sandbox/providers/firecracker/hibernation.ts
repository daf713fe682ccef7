import { existsSync } from 'node:fs';
import { open, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { BerthError } from '../../../protocol/errors.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import { wokenUp } from '../../microvm/woken-up.ts';
import { mustRun } from '../../run-command.ts';
import { writeAtomic } from '../../write-atomic.ts';
import { createMachineApi } from './api.ts';
import { loadMemory, saveMemory, startMachine } from './machine.ts';
import type { SandboxRecord } from './record.ts';
import { haltSandbox, machineStart, startSandbox, type Context, type SandboxParts } from './sandbox.ts';

/** Kept free beyond what the memory takes. */
const reservedBytes = 256 * 1024 ** 2;
/** What a guest takes to write what it has not written yet. */
const syncMs = 20_000;
/** In which a guest that was woken has answered. */
const answerMs = 30_000;

/** Has the guest write everything to its disk: what is then read from there without it, a copy or a start, has it. */
export async function syncGuest({ installation }: Context, parts: SandboxParts, signal: AbortSignal): Promise<void> {
  // A guest that does not is hostile or broken, and loses only its own.
  await installation.control.tell(parts.sockets.control, ['sync'], AbortSignal.any([signal, AbortSignal.timeout(syncMs)])).catch(() => signal.throwIfAborted());
}

/**
 * Hibernate: stand still, write the memory beside, sync, rename, end the machine. Up to the last rename a crash or a failure
 * leaves the machine, which goes on; from then on the sandbox hibernates. The state of the devices is renamed first: the
 * memory's name says that both are whole.
 */
export async function hibernateSandbox(context: Context, parts: SandboxParts, record: SandboxRecord, wasPaused: boolean, signal: AbortSignal): Promise<void> {
  const { memory, state, directory, disk } = parts.paths;
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < record.limits.memoryBytes + reservedBytes) {
    throw new BerthError('resource_exhausted', 'the disk has too little room for the memory', { context: { freeBytes: bavail * bsize } });
  }
  if (!wasPaused) await syncGuest(context, parts, signal);
  await context.channels.drop(parts.id);
  const beside = { memory: `${memory}.new`, state: `${state}.new` };
  try {
    const machine = createMachineApi(parts.sockets.api, signal);
    if (!wasPaused) await machine.setState('Paused');
    await forgetMemory(parts);
    await saveMemory(machine, { paths: parts.paths, uid: record.uid }, beside);
    const sizes = { memory: (await stat(beside.memory)).size, state: (await stat(beside.state)).size };
    await mustRun('sync', ['--', disk, beside.memory, beside.state]);
    await writeAtomic(`${memory}.size`, JSON.stringify(sizes), 0o600);
    signal.throwIfAborted();
    await rename(beside.state, state);
    await rename(beside.memory, memory);
    await syncDirectory(directory);
  } catch (error) {
    if (!existsSync(memory)) {
      await forgetMemory(parts);
      // Within a limit of its own: that of the call may be over.
      if (!wasPaused) await createMachineApi(parts.sockets.api, AbortSignal.timeout(answerMs)).setState('Resumed');
    }
    throw error;
  }
  await haltSandbox(context, parts.id, record.uid);
}

/** Resolves to why the processes were lost, `null` when they go on. Throws when it does not run either way. */
export async function wakeSandbox(context: Context, parts: SandboxParts, record: SandboxRecord, signal: AbortSignal): Promise<string | null> {
  const { memory, state, directory } = parts.paths;
  const { installation, channels } = context;
  const waking = `${memory}.waking`;
  await haltSandbox(context, parts.id, record.uid);
  if (!existsSync(waking)) await rename(memory, waking);
  let ran = false;
  let reason: string | null = null;
  try {
    await checkSizes(parts, waking);
    // Not cancelled: it takes moments, and what is half woken is lost.
    const limit = AbortSignal.timeout(answerMs);
    const start = machineStart(installation, parts, record);
    const machine = await startMachine(start, limit);
    await loadMemory(machine, start, { memory: waking, state });
    await rm(waking);
    await syncDirectory(directory);
    ran = true;
    await machine.setState('Resumed');
    await wokenUp(installation.control, parts.sockets.control, limit);
    const channel = await channels.of(parts.id, parts.sockets.link, limit);
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

async function checkSizes({ paths: { memory, state } }: SandboxParts, waking: string): Promise<void> {
  const written = await readFile(`${memory}.size`, 'utf8').catch(() => '{}');
  const found = { memory: (await stat(waking)).size, state: (await stat(state).catch(() => null))?.size };
  if (written !== JSON.stringify(found)) throw new BerthError('upstream_failed', 'the memory is damaged');
}

export async function forgetMemory({ paths: { memory, state } }: SandboxParts): Promise<void> {
  for (const path of [memory, `${memory}.waking`, `${memory}.new`, `${memory}.size`, state, `${state}.new`]) await rm(path, { force: true });
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
  if (!existsSync(memory) && !existsSync(`${memory}.waking`)) return forgetMemory(parts);
  await haltSandbox(context, parts.id, record.uid);
  if (existsSync(`${memory}.waking`)) await rename(`${memory}.waking`, memory);
}
