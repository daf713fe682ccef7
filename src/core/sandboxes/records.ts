import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxInfo } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';

/** What the store and the provider know of a session's sandbox. */
export async function existingSession(deps: Pick<Dependencies, 'store'>, sessionId: string): Promise<SessionRecord> {
  const session = await deps.store.read.session(sessionId);
  if (session === null || session.deletingAt !== null) throw sessionNotFound(sessionId);
  return session;
}

/** The record of its sandbox; `null` before the first need of one. */
export async function sandboxOf(
  deps: Pick<Dependencies, 'store'>,
  session: Pick<SessionRecord, 'sandboxId'> | null,
): Promise<SandboxRecord | null> {
  return session?.sandboxId == null ? null : deps.store.read.sandbox(session.sandboxId);
}

/** What the provider has under this id, or `null`. Throws when it cannot tell. */
export async function findSandbox(
  deps: Pick<Dependencies, 'providers'>,
  { id, provider }: Pick<SandboxRecord, 'id' | 'provider'>,
  signal: AbortSignal,
): Promise<SandboxInfo | null> {
  try {
    return await deps.providers.of(provider).get(id, { signal });
  } catch (error) {
    if (asBerthError(error).code === 'not_found') return null;
    throw error;
  }
}

export function sessionNotFound(id: string): BerthError {
  return new BerthError('not_found', `there is no session ${id}`, { field: 'id' });
}
