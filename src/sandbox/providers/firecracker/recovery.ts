import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { killAllOf, liveProcess, processesOf, writeProcess } from '../../microvm/processes.ts';
import { createMachineApi } from './api.ts';
import { recoverMemory } from './hibernation.ts';
import type { SandboxRecord } from './record.ts';
import { haltSandbox, recordOf, removeSandbox, sandboxIds, sandboxParts, type Context, type SandboxParts } from './sandbox.ts';
import { recoverSnapshots } from './snapshots.ts';

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
  await recoverSnapshots(installation);
  await installation.images.removeOld(images);
}

async function recoverSandbox(context: Context, parts: SandboxParts, record: SandboxRecord): Promise<void> {
  await recoverMemory(context, parts, record);
  if (existsSync(parts.paths.memory)) return;
  await adoptProcess(parts, record);
  const alive = (await liveProcess(parts.paths.process)) !== null;
  if (!alive || !(await settleMachine(context, parts))) await haltSandbox(context, parts.id, record.uid);
  for (const name of await readdir(parts.paths.directory)) {
    if (name.endsWith('.new')) await rm(join(parts.paths.directory, name), { force: true });
  }
}

/** Of one whose process was started but not written down. */
async function adoptProcess(parts: SandboxParts, record: SandboxRecord): Promise<void> {
  if ((await liveProcess(parts.paths.process)) !== null) return;
  const [pid, ...others] = processesOf(record.uid);
  if (pid !== undefined && others.length === 0) await writeProcess(parts.paths.process, pid);
  else await killAllOf(record.uid);
}

/** One that was held for a moment goes on; one that was paused stays so. `false`: it cannot go on. */
async function settleMachine({ installation }: Context, { paths, sockets }: SandboxParts): Promise<boolean> {
  const signal = AbortSignal.timeout(askMs);
  try {
    const machine = createMachineApi(sockets.api, signal);
    const state = await machine.state();
    // Started, but never let go.
    if (state === 'Not started') return false;
    const paused = existsSync(paths.paused);
    if (state === 'Running' && paused) await machine.setState('Paused');
    if (paused) return true;
    if (state === 'Paused') await machine.setState('Resumed');
    // Its disk may have been copied.
    await installation.control.tell(sockets.control, ['thaw'], signal);
    return true;
  } catch {
    return false;
  }
}
