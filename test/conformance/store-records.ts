import type {
  DeadLetterRecord,
  DeliveryRecord,
  GithubAppRecord,
  ModelKeyRecord,
  NewEvent,
  PermissionRecord,
  RepositoryRecord,
  SandboxRecord,
  SessionRecord,
  TaskRecord,
  TurnRecord,
  WebhookRecord,
} from '../../src/core/ports/store.ts';
import { newId } from '../../src/protocol/ids.ts';

/** Whole records to change one field of, for tests of a store and of what stands on one. */

const at = '2026-11-23T10:00:00.000Z';
const limits = { cpus: 1.5, memoryBytes: 2 ** 33, pids: 512, diskBytes: 2 ** 40 };

export function sessionRecord(change: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id: newId('session'),
    owner: 'ada',
    team: null,
    title: 'Fix the build',
    status: 'creating',
    statusReason: null,
    agent: 'claude',
    agentArgv: null,
    provider: 'oci',
    placement: { reason: 'the rule "payments"', others: ['docker'] },
    template: 'default',
    sandboxId: null,
    hostId: null,
    forkedFrom: null,
    repositoryUrl: null,
    baseBranch: null,
    branch: null,
    baseCommit: null,
    cwd: '/home/user/work',
    limits,
    env: {},
    egress: null,
    permissionPolicy: null,
    mcpServers: [],
    acpSessionId: null,
    modeId: null,
    config: {},
    author: null,
    permissions: 'ask',
    permissionTimeoutMs: 3_600_000,
    lastSeq: 0,
    logBytes: 0,
    logBytesAtTurn: 0,
    journalId: null,
    journalSeq: 0,
    deletingAt: null,
    forkAcpSessionId: null,
    idle: null,
    budget: null,
    lastUsedAt: at,
    archivedAt: null,
    createdAt: at,
    updatedAt: at,
    ...change,
  };
}

export function turnRecord(sessionId: string, change: Partial<TurnRecord> = {}): TurnRecord {
  return {
    id: newId('turn'),
    sessionId,
    idempotencyKey: null,
    state: 'queued',
    prompt: [{ type: 'text', text: 'Make it pass' }],
    by: 'ada',
    priority: 0,
    webhookUrl: null,
    webhookEvents: [],
    cancelRequestedAt: null,
    attempts: 0,
    retryAt: null,
    claimedAt: null,
    hostId: null,
    estimatedWaitMs: null,
    queuePosition: null,
    stopReason: null,
    usage: null,
    error: null,
    createdAt: at,
    startedAt: null,
    endedAt: null,
    ...change,
  };
}

export function deadLetterRecord(turn: Pick<TurnRecord, 'id' | 'sessionId'>, change: Partial<DeadLetterRecord> = {}): DeadLetterRecord {
  return {
    turnId: turn.id,
    sessionId: turn.sessionId,
    code: 'unavailable',
    message: 'not now',
    attempts: 4,
    failedAt: at,
    replayedAt: null,
    replayTurnId: null,
    ...change,
  };
}

export function webhookRecord(change: Partial<WebhookRecord> = {}): WebhookRecord {
  return {
    id: 'msg_1',
    turnId: 'trn_1',
    event: 'turn.started',
    url: 'https://example.org/hook',
    payload: '{"type":"turn.started"}',
    state: 'pending',
    attempts: 0,
    nextAttemptAt: at,
    lastError: null,
    createdAt: at,
    deliveredAt: null,
    ...change,
  };
}

export function sandboxRecord(change: Partial<SandboxRecord> = {}): SandboxRecord {
  return {
    id: newId('sandbox'),
    warm: null,
    sessionId: null,
    hostId: 'hst_test',
    provider: 'oci',
    template: 'default',
    status: 'creating',
    limits,
    createdAt: at,
    updatedAt: at,
    ...change,
  };
}

export function permissionRecord(sessionId: string, change: Partial<PermissionRecord> = {}): PermissionRecord {
  return {
    sessionId,
    requestId: 'req_1',
    turnId: null,
    toolCall: { toolCallId: 'call_1', rawInput: { command: 'rm -rf build' } },
    options: [{ optionId: 'once', name: 'Allow', kind: 'allow_once' }],
    state: 'open',
    optionId: null,
    answeredBy: null,
    requestedAt: at,
    expiresAt: '2026-11-23T11:00:00.000Z',
    resolvedAt: null,
    ...change,
  };
}

export function repositoryRecord(change: Partial<RepositoryRecord> = {}): RepositoryRecord {
  const id = change.id ?? newId('repository');
  return {
    id,
    url: `https://github.com/ada/${id}`,
    forge: 'github',
    owner: 'ada',
    name: id,
    installationId: 2 ** 40,
    settings: {
      triggers: { label: 'berth', mention: '@berth', assignee: false },
      agent: null,
      template: null,
      baseBranch: null,
    },
    createdAt: at,
    ...change,
  };
}

export function githubAppRecord(change: Partial<GithubAppRecord> = {}): GithubAppRecord {
  return {
    appId: 12_345,
    slug: 'berth',
    name: 'Berth',
    clientId: 'Iv1.abc',
    sealedPrivateKey: 'v1.a',
    sealedWebhookSecret: 'v1.b',
    sealedClientSecret: null,
    apiUrl: 'https://api.github.com',
    htmlUrl: 'https://github.com/apps/berth',
    createdAt: at,
    ...change,
  };
}

export function taskRecord(repositoryId: string, change: Partial<TaskRecord> = {}): TaskRecord {
  return {
    id: newId('task'),
    repositoryId,
    issueNumber: 7,
    pullNumber: null,
    sessionId: null,
    state: 'accepted',
    commentId: null,
    turnId: null,
    trigger: {
      kind: 'issue',
      id: 2 ** 41,
      number: 7,
      login: 'ada',
      author: { name: 'ada', email: 'ada@example.com' },
      text: 'It does not build.',
      deliveryId: 'd-1',
    },
    pending: [],
    pushedCommit: null,
    error: null,
    createdAt: at,
    updatedAt: at,
    ...change,
  };
}

export function deliveryRecord(change: Partial<DeliveryRecord> = {}): DeliveryRecord {
  return {
    id: 'd-1',
    event: 'issues',
    state: 'received',
    reason: null,
    payload: { action: 'labeled', issue: { number: 7 } },
    receivedAt: at,
    attempts: 0,
    ...change,
  };
}

/** An agent's message; with `journal`, as imported from a runner. */
export function messageEvent(text: string, journal?: { id: string; seq: number }): NewEvent {
  return {
    at,
    turnId: null,
    type: 'agent.update',
    data: { update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } } },
    ...(journal === undefined ? {} : { journal }),
  } as NewEvent;
}

export function modelKeyRecord(change: Partial<ModelKeyRecord> = {}): ModelKeyRecord {
  return {
    id: newId('modelKey'),
    scope: 'user',
    subject: 'ada',
    name: 'default',
    api: 'anthropic',
    baseUrl: null,
    kind: 'api_key',
    sealed: 'v2.dky_1.x',
    expiresAt: null,
    tokenUrl: null,
    clientId: null,
    renewingUntil: null,
    createdAt: at,
    updatedAt: at,
    ...change,
  };
}
