import { freeBytesAt } from '../../free-bytes.ts';
import type { KeyLock } from '../../providers/_shared/key-lock.ts';
import type { MachineKind } from './machines.ts';
import { recordOf, sandboxIds, sandboxParts, statusOf, type Context } from './sandbox.ts';

/** Below this the disk is watched: a machine may have found it full. */
const lowBytes = 256 * 1024 ** 2;
/** With this a machine that stands still can write for a while. */
const enoughBytes = 32 * 1024 ** 2;
const lookMs = 2000;
/** All are looked at now and then also where the disk seems to have room: it may have been full in between. */
const looksBetween = 30;
const askMs = 10_000;

/**
 * A machine whose write finds the host's disk full stands still, with the write undone, so that its file system stays whole.
 * Whoever made room knows nothing of it, so this lets it go on. Resolves to what ends that, once no look is under way.
 */
export function watchFullDisk<K extends MachineKind>(context: Context<K>, lock: KeyLock): () => Promise<void> {
  const { sandboxesDir } = context.installation;
  let [looks, wasLow] = [0, false];
  let looking: Promise<void> | null = null;

  async function look(): Promise<void> {
    const freeBytes = await freeBytesAt(sandboxesDir);
    wasLow ||= freeBytes < lowBytes;
    looks += 1;
    if (freeBytes < enoughBytes || (!wasLow && looks % looksBetween !== 0)) return;
    const left = await Promise.all((await sandboxIds(context.installation)).map((id) => lock.run(id, () => letGoOn(context, id))));
    wasLow = freeBytes < lowBytes || left.includes(false);
  }

  const timer = setInterval(() => {
    // One that failed is followed by the next.
    looking ??= look()
      .catch(() => {})
      .finally(() => (looking = null));
  }, lookMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await looking;
  };
}

/** Resolves to whether it is known to need nothing. */
async function letGoOn<K extends MachineKind>(context: Context<K>, id: string): Promise<boolean> {
  const parts = sandboxParts(context, id);
  try {
    const record = await recordOf(context, id);
    if (record === null || (await statusOf(parts.paths)) !== 'running') return true;
    const signal = AbortSignal.timeout(askMs);
    if ((await context.machines.state({ ...parts, record }, signal)) === 'full') await context.machines.letGo(id, signal);
    return true;
  } catch {
    return false;
  }
}
