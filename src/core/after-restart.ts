import type { SandboxStatus } from './ports/sandbox-provider.ts';
import type { SandboxRecord, SandboxUse } from './ports/store.ts';

/** What the provider has of a sandbox that the store knows. */
export type Found = SandboxStatus | 'none';

/** What its record says from then on; `forgotten`: the record goes, and the session has no sandbox. */
export type AfterRestart = SandboxRecord['status'] | 'forgotten';

/**
 * What becomes of a session's sandbox when the server starts: what the store says x what the provider finds. The
 * processes of a sandbox outlive the server, so what is found is the truth; what the store says counts for removals
 * alone. Work that needs the sandbox reserves it, and the dispatcher drives that work on.
 *
 * | the store says | found: none | running | paused | hibernated | stopped | broken |
 * |---|---|---|---|---|---|---|
 * | `creating`, `running`, `paused`, `hibernated`, `stopped`, `broken`; no turn | forgotten | running | paused | hibernated | stopped | broken |
 * | the same; its turn waits for an answer only | creating | creating | paused | hibernated | creating | creating |
 * | the same; its turn starts, runs or is being cancelled | creating | creating | creating | creating | creating | creating |
 * | `destroying`; whatever its turns | destroying | destroying | destroying | destroying | destroying | destroying |
 *
 * - *as found* (`running` ... `broken`): nothing is done to it. One that sleeps goes on sleeping, its processes kept;
 *   one that asks and sleeps is woken by the answer, or by its turn's cancelling.
 * - *creating*: it holds its slot, and the driver of its turn resumes, wakes, starts or makes it; one that runs is only
 *   connected to, and its turn, which the runner went on with, is read to its end.
 * - *forgotten*: it was never made, or it is lost; the next use makes one, from the session's base commit.
 * - *destroying*: its removal goes on.
 */
export function afterRestart(stored: SandboxRecord['status'], found: Found, work: SandboxUse['work']): AfterRestart {
  if (stored === 'destroying') return 'destroying';
  if (work === 'busy') return 'creating';
  if (work === 'asking') return sleeps(found) ? found : 'creating';
  return found === 'none' ? 'forgotten' : found;
}

function sleeps(found: Found): found is 'paused' | 'hibernated' {
  return found === 'paused' || found === 'hibernated';
}
