import type { Dependencies } from '../dependencies.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';
import { findSandbox } from './records.ts';
import { sandboxSpecOf } from './sandbox-spec.ts';
import { setSandboxStatus } from './settle.ts';
import type { Progress } from './workspace.ts';

/** Brings a sandbox to `running` from whatever the provider has of it; `isNew` when that was nothing. */
export async function makeRun(
  deps: Dependencies,
  session: SessionRecord,
  sandbox: SandboxRecord,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ isNew: boolean }> {
  const found = await findSandbox(deps, sandbox.id, signal);
  switch (found?.status) {
    case 'running':
      break;
    case undefined:
      await progress('sandbox', `creating a sandbox on ${session.provider}`);
      await deps.provider.create(sandboxSpecOf(deps, session, sandbox), { signal });
      break;
    case 'paused':
      await deps.provider.resume(sandbox.id, { signal });
      break;
    case 'hibernated': {
      await progress('sandbox', 'waking the sandbox');
      const { restored, reason } = await deps.provider.wake(sandbox.id, { signal });
      if (restored === 'disk') {
        await progress('sandbox', `its processes could not be brought back, its files are there: ${reason}`);
      }
      break;
    }
    default:
      await progress('sandbox', 'starting the sandbox from its disk');
      await deps.provider.start(sandbox.id, { signal });
  }
  await setSandboxStatus(deps, session.id, sandbox.id, 'running', null);
  return { isNew: found === null };
}
