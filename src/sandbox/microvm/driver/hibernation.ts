import { existsSync } from 'node:fs';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { freeBytesAt } from '../../free-bytes.ts';
import { mustRun } from '../../run-command.ts';
import { syncDirectory } from '../../sync-directory.ts';
import { writeAtomic } from '../../write-atomic.ts';
import { waitForHealth } from '../guest-health.ts';
import { wokenUp } from '../woken-up.ts';
import type { MachineKind, Sandbox, SandboxParts } from './machines.ts';
import { haltSandbox, startSandbox, type Context } from './sandbox.ts';

/** Kept free beyond what the memory may take. */
const reservedBytes = 256 * 1024 ** 2;
/** What a guest takes to write what it has not written yet. */
const syncMs = 20_000;
/** In which a guest that was woken has answered, where its instructions are translated too. */
const answerMs = 30_000;

/** Has the guest write everything to its disk: what is then read from there without it, a copy or a start, has it. */
export async function syncGuest<K extends MachineKind>({ installation }: Context<K>, { lines }: SandboxParts, signal: AbortSignal): Promise<void> {
  // A guest that does not is hostile or broken, and loses only its own.
  await installation.control.tell(lines.control, ['sync'], AbortSignal.any([signal, AbortSignal.timeout(syncMs)])).catch(() => signal.throwIfAborted());
}

/**
 * Hibernate: stand still, write the memory beside, sync, rename, end the machine. Up to the last rename a crash or a failure
 * leaves the machine, which goes on; from then on the sandbox hibernates. The memory is renamed after its companions: its name
 * says that all are whole.
 */
export async function hibernateSandbox<K extends MachineKind>(context: Context<K>, sandbox: Sandbox<K>, wasPaused: boolean, signal: AbortSignal): Promise<void> {
  const { machines, channels } = context;
  const { id, record, paths } = sandbox;
  const freeBytes = await freeBytesAt(paths.directory);
  if (freeBytes < machines.memoryRoomBytes(record.limits) + reservedBytes) {
    throw new BerthError('resource_exhausted', 'the disk has too little room for the memory', { context: { freeBytes } });
  }
  if (!wasPaused) await syncGuest(context, sandbox, signal);
  await channels.drop(id);
  const files = memoryFiles(context, sandbox);
  try {
    if (!wasPaused) await machines.hold(id, signal);
    await forgetMemory(context, sandbox);
    await machines.save(sandbox, signal);
    await writeAtomic(`${paths.memory}.size`, JSON.stringify(await sizesOf(files.map((file) => `${file}.new`))), 0o600);
    await mustRun('sync', ['--', machines.disks.path(sandbox), ...files.map((file) => `${file}.new`)]);
    signal.throwIfAborted();
    for (const file of files) await rename(`${file}.new`, file);
    await syncDirectory(paths.directory);
  } catch (error) {
    if (!existsSync(paths.memory)) {
      await forgetMemory(context, sandbox);
      // Within a limit of its own: that of the call may be over.
      if (!wasPaused) await machines.letGo(id, AbortSignal.timeout(answerMs));
    }
    throw error;
  }
  await haltSandbox(context, id, record.uid);
}

/** Resolves to why the processes were lost, `null` when they go on. Throws when it does not run either way. */
export async function wakeSandbox<K extends MachineKind>(context: Context<K>, sandbox: Sandbox<K>, signal: AbortSignal): Promise<string | null> {
  const { id, record, lines } = sandbox;
  const { memory, directory } = sandbox.paths;
  const waking = `${memory}.waking`;
  await haltSandbox(context, id, record.uid);
  if (!existsSync(waking)) await rename(memory, waking);
  let ran = false;
  let reason: string | null = null;
  try {
    await checkSizes(context, sandbox, waking);
    // Not cancelled: it takes moments, and what is half woken is lost.
    const limit = AbortSignal.timeout(answerMs);
    await context.machines.load(sandbox, waking, limit, async () => {
      await rm(waking);
      await syncDirectory(directory);
      ran = true;
    });
    await wokenUp(context.installation.control, lines.control, limit);
    const channel = await context.channels.of(id, lines.link, limit);
    await waitForHealth(() => channel.dial(limit), limit);
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  if (reason !== null) {
    await haltSandbox(context, id, record.uid);
    try {
      await startSandbox(context, sandbox, signal);
    } catch (error) {
      await haltSandbox(context, id, record.uid);
      // As long as no process of it has run, the memory is as good as before.
      if (!ran) await rename(waking, memory);
      throw error;
    }
  }
  await forgetMemory(context, sandbox);
  return reason;
}

/** In the order in which they get their names; the memory is the last. */
function memoryFiles<K extends MachineKind>({ machines }: Context<K>, { paths }: SandboxParts): string[] {
  return [...machines.memoryCompanions.map((name) => join(paths.directory, name)), paths.memory];
}

/** 0 of what is not there. */
async function sizesOf(files: readonly string[]): Promise<number[]> {
  return Promise.all(files.map(async (file) => (await stat(file).catch(() => null))?.size ?? 0));
}

async function checkSizes<K extends MachineKind>(context: Context<K>, parts: SandboxParts, waking: string): Promise<void> {
  const written = await readFile(`${parts.paths.memory}.size`, 'utf8').catch(() => '');
  const found = await sizesOf([...memoryFiles(context, parts).slice(0, -1), waking]);
  if (written !== JSON.stringify(found)) throw new BerthError('upstream_failed', 'the memory is damaged');
}

export async function forgetMemory<K extends MachineKind>(context: Context<K>, parts: SandboxParts): Promise<void> {
  const { memory } = parts.paths;
  for (const file of memoryFiles(context, parts)) for (const suffix of ['', '.new']) await rm(`${file}${suffix}`, { force: true });
  for (const suffix of ['.waking', '.size']) await rm(`${memory}${suffix}`, { force: true });
}

/** Settles what a crash in the middle left: nothing of a memory that is being woken has run while it is there. */
export async function recoverMemory<K extends MachineKind>(context: Context<K>, sandbox: Sandbox<K>): Promise<void> {
  const { memory } = sandbox.paths;
  if (!existsSync(memory) && !existsSync(`${memory}.waking`)) return forgetMemory(context, sandbox);
  await haltSandbox(context, sandbox.id, sandbox.record.uid);
  if (existsSync(`${memory}.waking`)) await rename(`${memory}.waking`, memory);
}
