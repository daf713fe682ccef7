import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import { actorOf } from '../audit/actor.ts';
import { requireRoom } from '../quotas/check-quotas.ts';
import type { Dependencies } from '../dependencies.ts';
import type { ForkSource } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord, SnapshotSource } from '../ports/store.ts';
import { sandboxOf } from '../sandboxes/records.ts';
import { sandboxSpecOf } from '../sandboxes/sandbox-spec.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { settleSessionStatus } from '../turns/turn-states.ts';

const gitTimeoutMs = 60_000;

export interface ForkRequest {
  /** What the provider copies. */
  from: ForkSource;
  source: SnapshotSource;
  /** The session that the source is of; it may be gone. */
  sessionId: string;
  /** Said in the new session's log. */
  origin: string;
  count: number;
  owner: string;
}

/**
 * Makes sessions that begin where another stands or stood: each has a disk that shares its blocks, a branch of its
 * own at the same commit, and the conversation so far, which its own agent forks. A live source goes on. Resolves to
 * their ids.
 *
 * All are made or none, also over a crash: until the last step they are marked as being deleted, so nobody sees them
 * and a restart removes them.
 */
export async function forkSession(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  request: ForkRequest,
  signal: AbortSignal,
): Promise<string[]> {
  const { from, count } = request;
  const provider = deps.providers.of(request.source.provider);
  if (provider.capabilities.fork === 'none') {
    throw new BerthError('unsupported', `the provider ${provider.name} cannot fork`, { field: 'provider' });
  }
  if (count > deps.settings.slots) {
    throw new BerthError('invalid_request', `this server has ${deps.settings.slots} slots`, { field: 'count' });
  }
  const records = Array.from({ length: count }, () => forkRecord(request, deps.clock.now().toISOString()));
  try {
    await deps.store.transaction(async (tx) => {
      await requireRoom(tx, deps.settings.quotas, records);
      for (const record of records) await tx.insertSession(record);
    });
    for (const record of records) await sandboxes.reserve(record.id, signal);
    const made = await Promise.all(records.map(async (record) => requireSandbox(deps, record.id)));
    const specs = made.map((sandbox, index) => sandboxSpecOf(deps, records[index]!, sandbox));
    const copy = () => provider.fork(from, specs, { signal });
    await ('sandboxId' in from ? sandboxes.exclusively(request.sessionId, copy) : copy());
    await Promise.all(records.map((record, index) => ownBranch(deps, record, made[index]!, signal)));
    await finish(deps, request, records, made);
  } catch (cause) {
    for (const record of records) {
      await sandboxes.destroy(record.id);
      await deps.store.transaction((tx) => tx.deleteSession(record.id));
    }
    throw cause;
  }
  return records.map((record) => record.id);
}

/** What of a session its forks take over. */
export function snapshotSourceOf(session: SessionRecord): SnapshotSource {
  const {
    title,
    agent,
    agentArgv,
    provider,
    template,
    repositoryUrl,
    baseBranch,
    branch,
    baseCommit,
    cwd,
    limits,
    env,
    mcpServers,
    acpSessionId,
    forkAcpSessionId,
    modeId,
    config,
    author,
    permissions,
    permissionPolicy,
    permissionTimeoutMs,
    idle,
    budget,
    egress,
  } = session;
  return {
    title,
    agent,
    agentArgv,
    provider,
    template,
    repositoryUrl,
    baseBranch,
    branch,
    baseCommit,
    cwd,
    limits,
    env,
    mcpServers,
    acpSessionId,
    forkAcpSessionId,
    modeId,
    config,
    author,
    permissions,
    permissionPolicy,
    permissionTimeoutMs,
    idle,
    budget,
    egress,
  };
}

function forkRecord({ source, sessionId, owner }: ForkRequest, at: string): SessionRecord {
  const id = newId('session');
  return {
    ...source,
    id,
    owner,
    // Its forks are of who made them, whoever the session is shared with.
    team: null,
    title: `${source.title} (fork)`.slice(0, 300),
    status: 'idle',
    statusReason: null,
    sandboxId: null,
    hostId: null,
    placement: { reason: `where ${sessionId} is, of which it is a fork`, others: [] },
    forkedFrom: sessionId,
    branch: source.branch === null ? null : `berth/${id}`,
    acpSessionId: null,
    forkAcpSessionId: source.acpSessionId ?? source.forkAcpSessionId,
    lastSeq: 0,
    logBytes: 0,
    logBytesAtTurn: 0,
    journalId: null,
    journalSeq: 0,
    deletingAt: at,
    lastUsedAt: at,
    archivedAt: null,
    createdAt: at,
    updatedAt: at,
  };
}

async function finish(
  deps: Dependencies,
  { origin, owner }: ForkRequest,
  records: readonly SessionRecord[],
  made: readonly SandboxRecord[],
): Promise<void> {
  await deps.store.transaction(async (tx) => {
    const at = deps.clock.now().toISOString();
    for (const [index, record] of records.entries()) {
      await tx.updateSession(record.id, { deletingAt: null, lastUsedAt: at, updatedAt: at });
      await tx.updateSandbox(made[index]!.id, { status: 'running', updatedAt: at });
      await tx.appendEvents(record.id, [
        {
          at,
          turnId: null,
          type: 'session.created',
          data: { agent: record.agent, repository: record.repositoryUrl, branch: record.branch },
        },
        {
          at,
          turnId: null,
          type: 'progress',
          data: { stage: 'fork', message: `forked from ${origin}`, fraction: null },
        },
      ]);
      await settleSessionStatus(tx, record.id, at);
      await tx.appendAudit([
        {
          at,
          actor: actorOf(owner),
          action: 'session.forked',
          target: record.id,
          sessionId: record.id,
          detail: { from: origin, agent: record.agent, branch: record.branch },
        },
      ]);
    }
  });
}

async function requireSandbox(deps: Dependencies, sessionId: string): Promise<SandboxRecord> {
  const sandbox = await sandboxOf(deps, await deps.store.read.session(sessionId));
  if (sandbox === null)
    throw new BerthError('internal', `the fork ${sessionId} has no sandbox after its slot was reserved`);
  return sandbox;
}

/** The clone was copied with the source's branch checked out; the fork goes on under its own name. */
async function ownBranch(
  deps: Pick<Dependencies, 'connectRunner'>,
  record: SessionRecord,
  sandbox: SandboxRecord,
  signal: AbortSignal,
): Promise<void> {
  if (record.branch === null) return;
  const runner = deps.connectRunner(sandbox);
  try {
    const argv = ['git', 'checkout', '-q', '-b', record.branch];
    const result = await runner.exec({ argv, cwd: record.cwd, timeoutMs: gitTimeoutMs }, signal);
    if (result.exitCode === 0) return;
    const said = new TextDecoder().decode(result.stderr).trim();
    throw new BerthError('upstream_failed', `the fork could not make its branch: ${said}`);
  } finally {
    runner.close();
  }
}
