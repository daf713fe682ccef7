import { existsSync } from 'node:fs';
import { killAllOf, liveProcess, processesOf, writeProcess } from '../processes.ts';
import { recoverMemory } from './hibernation.ts';
import type { MachineKind, Sandbox } from './machines.ts';
import { recoverNetwork } from './network.ts';
import { haltSandbox, recordOf, removeSandbox, sandboxIds, sandboxParts, type Context } from './sandbox.ts';

const askMs = 10_000;

/** Brings everything that a crash left half done to one side or the other. Called when nothing else of this installation is at work. */
export async function recover<K extends MachineKind>(context: Context<K>): Promise<void> {
  const { installation, machines } = context;
  const images = new Set<string>();
  for (const id of await sandboxIds(installation)) {
    const parts = sandboxParts(context, id);
    const record = await recordOf(context, id);
    for (const image of record === null ? [] : [record.shape.rootImage, record.shape.runnerImage]) images.add(image);
    // Never finished: nobody has been told of it.
    if (existsSync(parts.paths.creating)) await removeSandbox(context, id);
    else if (record !== null) await recoverSandbox(context, { ...parts, record });
  }
  await machines.snapshots.recover();
  await installation.images.removeOld(images);
}

async function recoverSandbox<K extends MachineKind>(context: Context<K>, sandbox: Sandbox<K>): Promise<void> {
  await recoverMemory(context, sandbox);
  if (existsSync(sandbox.paths.memory)) return;
  await adoptProcess(sandbox);
  const alive = (await liveProcess(sandbox.paths.process)) !== null;
  const goesOn = alive && (await settleMachine(context, sandbox)) && (await recoverNetwork(context, sandbox));
  if (!goesOn) await haltSandbox(context, sandbox.id, sandbox.record.uid);
  await context.machines.disks.recover(sandbox);
}

/** Of one whose process was started but not written down. */
async function adoptProcess<K extends MachineKind>({ paths, record }: Sandbox<K>): Promise<void> {
  if ((await liveProcess(paths.process)) !== null) return;
  const [pid, ...others] = processesOf(record.uid);
  if (pid !== undefined && others.length === 0) await writeProcess(paths.process, pid);
  else await killAllOf(record.uid);
}

/** One that was held for a moment goes on; one that was paused stays so. `false`: it cannot go on. */
async function settleMachine<K extends MachineKind>({ installation, machines }: Context<K>, sandbox: Sandbox<K>): Promise<boolean> {
  const signal = AbortSignal.timeout(askMs);
  try {
    const state = await machines.state(sandbox, signal);
    // Started, but never let go.
    if (state === 'new') return false;
    const paused = existsSync(sandbox.paths.paused);
    if (state === 'running' && paused) await machines.hold(sandbox.id, signal);
    if (paused) return true;
    if (state !== 'running') await machines.letGo(sandbox.id, signal);
    // Its disk may have been about to be copied. A guest that does not answer is settled all the same.
    await installation.control.tell(sandbox.lines.control, ['thaw'], signal).catch(() => {});
    return true;
  } catch {
    return false;
  }
}
