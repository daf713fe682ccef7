import type { Dependencies } from '../dependencies.ts';
import type { SandboxInfo } from '../ports/sandbox-provider.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { removeUnowned } from './make-warm.ts';
import { isWarm } from './warm-pool.ts';

/**
 * What becomes, at a start, of a sandbox without a session: a warm one that runs, and is as a new one would be, is
 * kept; one that was being made, or that nothing says is warm, is removed.
 */
export async function recoverUnowned(
  deps: Pick<Dependencies, 'store' | 'providers' | 'clock' | 'settings' | 'logger'>,
  record: SandboxRecord,
  found: SandboxInfo | null,
): Promise<void> {
  const isSound = isWarm(record) && found?.status === 'running' && found.outdated !== true;
  if (isSound && deps.settings.warm.count > 0) return;
  deps.logger.info({ sandboxId: record.id, status: record.status }, 'removing a sandbox that no session claimed');
  await removeUnowned(deps, record.id);
}
