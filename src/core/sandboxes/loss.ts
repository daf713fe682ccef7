import type { SandboxInfo } from '../ports/sandbox-provider.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { activeTurnStates } from '../turns/turn-states.ts';
import type { Ensure } from './bring-up.ts';
import type { SandboxesContext } from './context.ts';
import { findSandbox } from './records.ts';
import { setSandboxStatus } from './settle.ts';

type SandboxName = Pick<SandboxRecord, 'id' | 'provider'>;

const lookTimeoutMs = 30_000;

/**
 * A stream to the runner broke: is the sandbox still there? Resolves to whether it may come back by
 * itself. A turn it was running is brought to its end by starting it again. Several streams may ask at once, and
 * one of them is told of the loss. Never rejects: what cannot be told, as while the database is away, is asked again.
 */
export function createLossCheck(
  { deps, entries, events, closing }: SandboxesContext,
  ensure: Ensure,
): (sessionId: string, sandbox: SandboxName) => Promise<boolean> {
  return (sessionId, sandbox) =>
    check(sessionId, sandbox).catch((error: unknown) => {
      deps.logger.warn({ sessionId, err: error }, 'whether a sandbox was lost could not be told');
      return true;
    });

  async function check(sessionId: string, sandbox: SandboxName): Promise<boolean> {
    const sandboxId = sandbox.id;
    const entry = entries.of(sessionId);
    if (closing.aborted) return false;
    // Still being made ready, or told already: who asks is closed with its connection.
    if (entry.connection?.sandboxId !== sandboxId) return true;
    let found: SandboxInfo | null;
    try {
      found = await findSandbox(deps, sandbox, AbortSignal.any([closing, AbortSignal.timeout(lookTimeoutMs)]));
    } catch {
      return true;
    }
    if (found?.status === 'running') return true;
    const { connection } = entry;
    // Another stream of the same connection was told meanwhile.
    if (connection?.sandboxId !== sandboxId) return true;
    entry.connection = null;
    // Not awaited: closing waits for the follower, which waits for this answer.
    void connection.close();
    await setSandboxStatus(
      deps,
      sessionId,
      sandboxId,
      found === null ? 'broken' : 'stopped',
      'the sandbox ended by itself',
    );
    const active = await deps.store.read.turns(sessionId, activeTurnStates);
    if (active.length > 0) {
      void ensure(sessionId, closing)
        .then((again) => again.follow())
        .catch((error: unknown) => deps.logger.error({ sessionId, err: error }, 'a lost sandbox could not be started'));
    } else {
      events.onSlotFreed();
    }
    return false;
  }
}
