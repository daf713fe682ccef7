import { isDeepStrictEqual } from 'node:util';
import { asBerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxInfo, SandboxProvider } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';
import { failOver } from '../placement/fail-over.ts';
import { findSandbox } from './records.ts';
import { sandboxSpecOf } from './sandbox-spec.ts';
import { settleNetwork } from './session-network.ts';
import { setSandboxStatus } from './settle.ts';
import type { Progress } from './workspace.ts';

/** What the provider has of it, without the half of one that a crash left before there was any work in it. */
async function findSound(
  deps: Dependencies,
  session: SessionRecord,
  sandbox: SandboxRecord,
  signal: AbortSignal,
): Promise<SandboxInfo | null> {
  const found = await findSandbox(deps, sandbox, signal);
  if (found?.status !== 'broken' || session.baseCommit !== null) return found;
  await deps.providers.of(sandbox.provider).destroy(sandbox.id, { signal });
  return null;
}

/**
 * Tells the provider whose sandbox it is and what it may use, where that is not what it knows. Nothing may run before the
 * limits and the network are the session's; the labels are for people to read, so nobody waits for those. Resolves to whether it was warm.
 */
async function bind(
  deps: Dependencies,
  session: SessionRecord,
  sandbox: SandboxRecord,
  found: SandboxInfo,
  signal: AbortSignal,
): Promise<boolean> {
  const provider = deps.providers.of(sandbox.provider);
  const { labels, limits, network } = sandboxSpecOf(deps, session, sandbox);
  if (provider.capabilities.update === 'none') {
    if (network === 'none' || found.status === 'stopped') await settleNetwork(deps, session, sandbox, found, signal);
    return false;
  }
  const sameMeans = isDeepStrictEqual(limits, found.limits) && network === (found.network ?? 'none');
  if (sameMeans && isDeepStrictEqual(labels, found.labels)) return false;
  const updated = provider.update(sandbox.id, { labels, limits, network }, { signal });
  if (sameMeans) {
    // The next start of the sandbox finds them wrong, and tries again.
    updated.catch((error: unknown) => deps.logger.warn({ sandboxId: sandbox.id, err: error }, 'labels were not set'));
  } else {
    await updated;
  }
  return !Object.hasOwn(found.labels, 'session');
}

/** What ended while it was frozen, by the kernel's hand or a person's, starts from its disk. */
async function resume(
  provider: SandboxProvider,
  sandboxId: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  try {
    await provider.resume(sandboxId, { signal });
  } catch (error) {
    if (signal.aborted || asBerthError(error).code !== 'sandbox_lost') throw error;
    await progress('sandbox', 'its processes ended while it was paused; starting it from its disk');
    await provider.stop(sandboxId, { signal });
    await provider.start(sandboxId, { signal });
  }
}

/**
 * Brings a sandbox to `running` from whatever the provider has of it; `isNew` when that was nothing, `wasWarm` when it
 * had no session. The first of a session goes to the next provider of its placement when its own fails.
 */
export async function makeRun(
  deps: Dependencies,
  session: SessionRecord,
  sandbox: SandboxRecord,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ isNew: boolean; wasWarm: boolean }> {
  for (let at = { session, sandbox }; ; ) {
    try {
      return await makeRunThere(deps, at.session, at.sandbox, progress, signal);
    } catch (error) {
      const next = signal.aborted ? null : await failOver(deps, at.session, at.sandbox, error);
      if (next === null) throw error;
      at = next;
    }
  }
}

async function makeRunThere(
  deps: Dependencies,
  session: SessionRecord,
  sandbox: SandboxRecord,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ isNew: boolean; wasWarm: boolean }> {
  const provider = deps.providers.of(sandbox.provider);
  const found = await findSound(deps, session, sandbox, signal);
  const wasWarm = found !== null && found.status !== 'broken' && (await bind(deps, session, sandbox, found, signal));
  switch (found?.status) {
    case 'running':
      // The claim of a warm one has said so already.
      if (sandbox.status === 'running') return { isNew: false, wasWarm };
      break;
    case undefined:
      await progress('sandbox', `creating a sandbox on ${provider.name}`);
      await provider.create(sandboxSpecOf(deps, session, sandbox), { signal });
      break;
    case 'paused':
      await resume(provider, sandbox.id, progress, signal);
      break;
    case 'hibernated': {
      await progress('sandbox', 'waking the sandbox');
      const { restored, reason } = await provider.wake(sandbox.id, { signal });
      if (restored === 'disk') {
        await progress('sandbox', `its processes could not be brought back, its files are there: ${reason}`);
      }
      break;
    }
    default:
      await progress('sandbox', 'starting the sandbox from its disk');
      await provider.start(sandbox.id, { signal });
  }
  await setSandboxStatus(deps, session.id, sandbox.id, 'running', null);
  return { isNew: found === null, wasWarm };
}
