import { nowOf, type SandboxesContext } from './context.ts';

/** Ends and removes the session's sandbox, where it is this host's; idempotent, and repeated by a restart. */
export async function destroySandboxes(context: SandboxesContext, sessionId: string): Promise<void> {
  const { deps, entries, events, closing } = context;
  entries.of(sessionId).gone.abort();
  await entries.serialised(sessionId, async () => {
    await entries.disconnect(sessionId);
    for (const sandbox of await deps.store.read.sandboxes({ sessionId, hostId: deps.settings.hostId })) {
      await deps.store.transaction((tx) =>
        tx.updateSandbox(sandbox.id, { status: 'destroying', updatedAt: nowOf(context) }),
      );
      await deps.providers.of(sandbox.provider).destroy(sandbox.id, { signal: closing });
      await deps.store.transaction(async (tx) => {
        await tx.deleteSandbox(sandbox.id);
        if ((await tx.session(sessionId)) !== null) await tx.updateSession(sessionId, { sandboxId: null });
      });
    }
  });
  entries.remove(sessionId);
  events.onSlotFreed();
}
