import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';
import { sandboxSpecOf } from '../sandboxes/sandbox-spec.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { settleSessionStatus } from '../turns/turn-states.ts';

const gitTimeoutMs = 60_000;

/**
 * Makes sessions that begin where this one stands: each has a disk that shares its blocks, a branch
 * of its own at the same commit, and the agent's conversation so far, which its own agent loads. The
 * source goes on. All are made or none. Resolves to their ids.
 */
export async function forkSession(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  source: SessionRecord,
  count: number,
  owner: string,
  signal: AbortSignal,
): Promise<string[]> {
  if (deps.provider.capabilities.fork === 'none') {
    throw new BerthError('unsupported', `the provider ${deps.provider.name} cannot fork`, { field: 'provider' });
  }
  const { sandboxId } = source;
  if (sandboxId === null || source.baseCommit === null) {
    throw new BerthError('conflict', 'the session has no workspace yet; there is nothing to fork', { field: 'id' });
  }
  const records = Array.from({ length: count }, () => forkRecord(source, owner, deps.clock.now().toISOString()));
  try {
    for (const record of records) await insert(deps, source, record);
    for (const record of records) await sandboxes.reserve(record.id, signal);
    const made = await Promise.all(records.map(async (record) => requireSandbox(deps, record.id)));
    const specs = made.map((sandbox, index) => sandboxSpecOf(deps, records[index]!, sandbox));
    await deps.provider.fork({ sandboxId }, specs, { signal });
    for (const record of records) await ownBranch(sandboxes, record, signal);
  } catch (cause) {
    for (const record of records) {
      await sandboxes.destroy(record.id);
      await deps.store.transaction((tx) => tx.deleteSession(record.id));
    }
    throw cause;
  }
  return records.map((record) => record.id);
}

function forkRecord(source: SessionRecord, owner: string, at: string): SessionRecord {
  const id = newId('session');
  return {
    ...source,
    id,
    owner,
    title: `${source.title} (fork)`.slice(0, 300),
    status: 'idle',
    statusReason: null,
    sandboxId: null,
    hostId: null,
    forkedFrom: source.id,
    branch: source.branch === null ? null : `berth/${id}`,
    lastSeq: 0,
    journalId: null,
    journalSeq: 0,
    createdAt: at,
    updatedAt: at,
  };
}

async function insert(deps: Dependencies, source: SessionRecord, record: SessionRecord): Promise<void> {
  await deps.store.transaction(async (tx) => {
    await tx.insertSession(record);
    await tx.appendEvents(record.id, [
      {
        at: record.createdAt,
        turnId: null,
        type: 'session.created',
        data: { agent: record.agent, repository: record.repositoryUrl, branch: record.branch },
      },
      {
        at: record.createdAt,
        turnId: null,
        type: 'progress',
        data: { stage: 'fork', message: `forked from ${source.id}`, fraction: null },
      },
    ]);
    await settleSessionStatus(tx, record.id, record.createdAt);
  });
}

async function requireSandbox(deps: Dependencies, sessionId: string): Promise<SandboxRecord> {
  const session = await deps.store.read.session(sessionId);
  const sandbox = session?.sandboxId == null ? null : await deps.store.read.sandbox(session.sandboxId);
  if (sandbox === null) throw new BerthError('internal', `the fork ${sessionId} has no sandbox after its slot was reserved`);
  return sandbox;
}

/** The clone was copied with the source's branch checked out; the fork goes on under its own name. */
async function ownBranch(sandboxes: SessionSandboxes, record: SessionRecord, signal: AbortSignal): Promise<void> {
  await sandboxes.use(record.id, signal, async ({ runner }) => {
    if (record.branch === null) return;
    const result = await runner.exec(
      { argv: ['git', 'checkout', '-q', '-b', record.branch], cwd: record.cwd, timeoutMs: gitTimeoutMs },
      signal,
    );
    if (result.exitCode !== 0) {
      const said = new TextDecoder().decode(result.stderr).trim();
      throw new BerthError('upstream_failed', `the fork could not make its branch: ${said}`);
    }
  });
}
