import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { recoverMemory } from './hibernation.ts';
import { killAllOf, liveProcess, processesOf, writeProcess } from '../../microvm/processes.ts';
import { openQmp } from './qmp.ts';
import type { SandboxRecord } from './record.ts';
import { recordOf, removeSandbox, sandboxIds, sandboxParts, type Context, type SandboxParts } from './sandbox.ts';
import { recoverDisk, removeUnused } from './snapshots.ts';

const askMs = 10_000;

/** Brings everything that a crash left half done to one side or the other. Called when nothing else of this installation is at work. */
export async function recover(context: Context): Promise<void> {
  const { installation } = context;
  const images = new Set<string>();
  for (const id of await sandboxIds(installation)) {
    const parts = sandboxParts(installation, id);
    const record = await recordOf(installation, id);
    for (const image of record === null ? [] : [record.shape.rootImage, record.shape.runnerImage]) images.add(image);
    // Never finished: nobody has been told of it.
    if (existsSync(parts.paths.creating)) await removeSandbox(context, id);
    else if (record !== null) await recoverSandbox(context, parts, record);
  }
  await removeUnused(installation);
  await installation.images.removeOld(images);
}

async function recoverSandbox(context: Context, parts: SandboxParts, record: SandboxRecord): Promise<void> {
  await recoverMemory(context, parts, record);
  if (existsSync(parts.paths.memory)) return;
  await adoptProcess(parts, record);
  if ((await liveProcess(parts.paths.process)) !== null && !(await settleMachine(parts))) await killAllOf(record.uid);
  await recoverDisk(context.installation, parts, record);
}

/** Of one whose process was started but not written down. */
async function adoptProcess(parts: SandboxParts, record: SandboxRecord): Promise<void> {
  if ((await liveProcess(parts.paths.process)) !== null) return;
  const [pid, ...others] = processesOf(record.uid);
  if (pid !== undefined && others.length === 0) await writeProcess(parts.paths.process, pid);
  else await killAllOf(record.uid);
}

const state = z.looseObject({ status: z.string() });

/** One that was held for a moment goes on; one that was paused stays so. `false`: it cannot go on. */
async function settleMachine({ paths, sockets }: SandboxParts): Promise<boolean> {
  try {
    const qmp = await openQmp(sockets.monitor, AbortSignal.timeout(askMs));
    try {
      const { status } = state.parse(await qmp.run('query-status'));
      // Started, but never let go.
      if (status === 'inmigrate' || status === 'prelaunch') return false;
      if (status === 'running' && existsSync(paths.paused)) await qmp.run('stop');
      if (status !== 'running' && !existsSync(paths.paused)) await qmp.run('cont');
      return true;
    } finally {
      qmp.close();
    }
  } catch {
    return false;
  }
}

/** What is known of a paused sandbox. */
export async function markPaused(paths: { paused: string }, pids: number): Promise<void> {
  await writeFile(paths.paused, String(pids));
}
