import { noQuotas } from '../quotas/subjects.ts';
import { noPolicy } from '../placement/policy.ts';
import { createProviders } from '../providers.ts';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { BerthError } from '../../protocol/errors.ts';
import type { JournalEvent, JournalEventData } from '../../protocol/events.ts';
import type { Dependencies, Settings } from '../dependencies.ts';
import { defaultLogLimits } from '../journal/flood-guard.ts';
import { defaultPermissionPolicy } from '../permissions/default-policy.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { JournalEntry, RunnerClient } from '../ports/runner.ts';
import type { SandboxInfo, SandboxProvider, SnapshotInfo } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, Store } from '../ports/store.ts';
import type { WebhookRequest } from '../ports/webhook-sender.ts';
import { createStoreQueue } from '../../queue/store-queue.ts';
import { defaultQueueSettings } from '../turns/queue-settings.ts';
import { defaultWebhookSettings } from '../webhooks/webhook-worker.ts';

/**
 * In-memory stand-ins for what lies behind the core's ports, for tests of the core's own rules:
 * order, slots, recovery. What the real drivers do is tested on the real things.
 */
export interface World {
  deps: Dependencies;
  /** The one that `deps.providers` has. */
  provider: SandboxProvider;
  sandboxes: Map<string, SandboxInfo>;
  journals: Map<string, MemoryJournal>;
  /** Turns given to a runner, in order. */
  started: string[];
  /** Webhooks that were sent, in order. */
  sent: WebhookRequest[];
  /** What their receiver says; may throw. */
  answerWebhook: (request: WebhookRequest) => { status: number };
  /** Called with each turn as it is given to a runner. */
  onStarted: (turnId: string) => void;
  endTurn(turnId: string): void;
  /** The agent of a running turn asks; the options are `yes` and `no`. */
  ask(turnId: string, requestId: string): void;
  /** Commands that were run in sandboxes, in order. */
  execs: { sandboxId: string; argv: string[] }[];
  snapshots: Map<string, SnapshotInfo>;
  /** Called before each of the provider's operations on a sandbox or snapshot; may throw, or wait. */
  beforeProvider: (operation: string, id: string) => Promise<void>;
  failCreate: (() => Error | null) | null;
}

export const testWebhookSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

interface MemoryJournal {
  id: string;
  events: JournalEvent[];
  listeners: Set<() => void>;
  running: string | null;
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** Time for those who sleep, two hundred times as fast; but the work that is done every half minute is not all that is done. */
const createImpatientClock = (): Clock => ({
  now: () => new Date(),
  sleep: (delayMs, signal) =>
    delay(Math.min(delayMs, Math.max(5, delayMs / 200), 50), undefined, signal === undefined ? {} : { signal }),
});

export function createWorld(store: Store, settings: Partial<Settings> = {}, clock: Clock = createImpatientClock()): World {
  const sandboxes = new Map<string, SandboxInfo>();
  const journals = new Map<string, MemoryJournal>();
  const started: string[] = [];
  const sent: WebhookRequest[] = [];
  const execs: World['execs'] = [];
  const snapshots = new Map<string, SnapshotInfo>();

  function journalOf(sessionId: string): MemoryJournal {
    let journal = journals.get(sessionId);
    if (journal === undefined) {
      journal = { id: `jnl_${sessionId}`, events: [], listeners: new Set(), running: null };
      journals.set(sessionId, journal);
    }
    return journal;
  }

  function write(sessionId: string, turnId: string | null, data: JournalEventData): void {
    const journal = journalOf(sessionId);
    const at = clock.now().toISOString();
    journal.events.push({ seq: journal.events.length + 1, at, turnId, ...data });
    for (const listener of journal.listeners) listener();
  }

  function endTurn(turnId: string): void {
    for (const [sessionId, journal] of journals) {
      if (journal.running !== turnId) continue;
      journal.running = null;
      write(sessionId, turnId, { type: 'turn.ended', data: { outcome: 'completed', stopReason: 'end_turn', usage: null, error: null } });
      return;
    }
    throw new Error(`turn ${turnId} does not run`);
  }

  function ask(turnId: string, requestId: string): void {
    const [sessionId] = [...journals].find(([, journal]) => journal.running === turnId) ?? [];
    if (sessionId === undefined) throw new Error(`turn ${turnId} does not run`);
    const expiresAt = new Date(clock.now().getTime() + 60 * 60_000).toISOString();
    const options = [
      { optionId: 'yes', name: 'Yes', kind: 'allow_once' as const },
      { optionId: 'no', name: 'No', kind: 'reject_once' as const },
    ];
    write(sessionId, turnId, { type: 'permission.requested', data: { requestId, toolCall: { toolCallId: 't' }, options, expiresAt } });
  }

  const runner = ({ id: sandboxId }: Pick<SandboxRecord, 'id'>): RunnerClient =>
    ({
      async ensureAgentSession(sessionId: string) {
        requireRunning(sandboxId);
        journalOf(sessionId);
        return {};
      },
      async startTurn(sessionId: string, turn: { turnId: string }) {
        requireRunning(sandboxId);
        const journal = journalOf(sessionId);
        if (journal.events.some((event) => event.turnId === turn.turnId)) return;
        if (journal.running !== null) throw new BerthError('conflict', 'a turn runs');
        journal.running = turn.turnId;
        started.push(turn.turnId);
        world.onStarted(turn.turnId);
        write(sessionId, turn.turnId, { type: 'turn.started', data: {} });
      },
      async exec({ argv }: { argv: string[] }) {
        requireRunning(sandboxId);
        execs.push({ sandboxId, argv });
        return { exitCode: 0, signal: null, timedOut: false, truncated: false, stdout: new Uint8Array(), stderr: new Uint8Array(), durationMs: 0 };
      },
      async answerPermission(sessionId: string, requestId: string, { optionId, by }: { optionId: string | null; by: string }) {
        requireRunning(sandboxId);
        const outcome = optionId === null ? 'cancelled' : 'selected';
        write(sessionId, journalOf(sessionId).running, { type: 'permission.resolved', data: { requestId, outcome, optionId, by } });
      },
      async cancelTurn(sessionId: string, turnId: string) {
        requireRunning(sandboxId);
        journalOf(sessionId).running = null;
        write(sessionId, turnId, { type: 'turn.ended', data: { outcome: 'cancelled', stopReason: 'cancelled', usage: null, error: null } });
      },
      async openGatewayChannel() {
        return new PassThrough();
      },
      async followJournal(sessionId: string, from: number, signal: AbortSignal) {
        const journal = journalOf(sessionId);
        return { journalId: journal.id, lastSeq: journal.events.length, events: follow(journal, from, signal) };
      },
      close() {},
    }) as unknown as RunnerClient;

  function requireRunning(sandboxId: string): void {
    if (sandboxes.get(sandboxId)?.status !== 'running') throw new BerthError('sandbox_lost', `${sandboxId} does not run`);
  }

  const provider = memoryProvider(
    sandboxes,
    snapshots,
    (operation, id) => world.beforeProvider(operation, id),
    () => world.failCreate?.() ?? null,
  );
  const world: World = {
    provider,
    sandboxes,
    journals,
    started,
    sent,
    onStarted: () => {},
    ask,
    execs,
    snapshots,
    beforeProvider: async () => {},
    answerWebhook: () => ({ status: 200 }),
    endTurn,
    failCreate: null,
    deps: {
      store,
      queue: createStoreQueue({ store, clock, logger: silent }),
      providers: createProviders([provider]),
      connectRunner: runner,
      runnerToken: (id) => `token-${id}`,
      gateway: {
        placeholderKey: (id) => `placeholder-${id}`,
        attach: () => {
          const { promise, resolve } = Promise.withResolvers<void>();
          return { closed: promise, close: resolve };
        },
      },
      git: {
        check: async () => ({ baseBranch: 'main' }),
        initialise: async () => ({ baseCommit: 'base' }),
      } as unknown as Dependencies['git'],
      agents: {
        list: () => [],
        get: (name) => plainAgent(name),
        custom: (name) => plainAgent(name),
      },
      installer: { ensure: async () => '/layer', isInstalled: async () => true },
      webhookSender: {
        async send(request) {
          sent.push(request);
          return world.answerWebhook(request);
        },
      },
      hostPressure: async () => null,
      clock,
      logger: silent,
      settings: {
        hostId: 'hst_test',
        slots: 2,
        placement: noPolicy,
        warm: { count: 0, preclone: [], mirrorConnected: false },
        defaultTemplate: 'default',
        defaultLimits: { cpus: 1, memoryBytes: 2 ** 30, pids: 100, diskBytes: 2 ** 30 },
        maxLimits: { cpus: 4, memoryBytes: 2 ** 32, pids: 1000, diskBytes: 2 ** 40 },
        permissionMode: 'ask',
        permissionPolicy: defaultPermissionPolicy,
        egress: { defaultPolicy: { presets: [], allow: [] }, allowFullNetwork: false },
        defaultPermissionTimeoutMs: 60_000,
        idle: { pauseMs: null, hibernateMs: null, archiveMs: null, lastStep: 'archive', hibernateAskingMs: null },
        logLimits: defaultLogLimits,
        queue: defaultQueueSettings,
        serverBudget: {},
        quotas: noQuotas,
        webhooks: { ...defaultWebhookSettings, secret: testWebhookSecret },
        taskOwner: 'owner',
        allowLocalRepositories: true,
        author: { name: 'Berth', email: 'berth@localhost' },
        ...settings,
      },
    },
  };
  return world;
}

async function* follow(journal: MemoryJournal, from: number, signal: AbortSignal): AsyncGenerator<JournalEntry> {
  let seq = from;
  while (!signal.aborted) {
    for (const event of journal.events.slice(seq)) {
      yield { event, sizeBytes: JSON.stringify(event).length };
      seq = event.seq;
    }
    if (journal.events.length > seq) continue;
    await new Promise<void>((resolve) => {
      const done = () => {
        journal.listeners.delete(done);
        resolve();
      };
      journal.listeners.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

function memoryProvider(
  sandboxes: Map<string, SandboxInfo>,
  snapshots: Map<string, SnapshotInfo>,
  before: (operation: string, id: string) => Promise<void>,
  failure: () => Error | null,
): SandboxProvider {
  function existing(id: string): SandboxInfo {
    const info = sandboxes.get(id);
    if (info === undefined) throw new BerthError('not_found', `no sandbox ${id}`);
    return info;
  }
  function move(id: string, from: readonly SandboxInfo['status'][], status: SandboxInfo['status']): SandboxInfo {
    const info = existing(id);
    if (!from.includes(info.status)) throw new BerthError('conflict', `${id} is ${info.status}`);
    const moved: SandboxInfo = { ...info, status };
    sandboxes.set(id, moved);
    return moved;
  }
  const provider: SandboxProvider = {
    name: 'memory',
    capabilities: {
      pause: 'memory',
      hibernate: 'memory+disk',
      snapshot: 'disk',
      fork: 'live',
      ports: 'none',
      network: ['none', 'full'],
      limits: ['cpus', 'memoryBytes', 'pids', 'diskBytes'],
      update: 'live',
      sharedObjects: 'none',
      isolation: 'remote',
    },
    probe: async () => ({ usable: true, findings: [] }),
    async create(spec) {
      const error = failure();
      if (error !== null) throw error;
      const info: SandboxInfo = { ...spec, status: 'running', reference: spec.id, createdAt: new Date().toISOString() };
      sandboxes.set(spec.id, info);
      return info;
    },
    async checkTemplate(name) {
      if (name === 'no-such') throw new BerthError('not_found', `no template ${name}`, { field: 'template' });
    },
    list: async () => [...sandboxes.values()],
    get: async (id) => existing(id),
    async stop(id) {
      sandboxes.set(id, { ...existing(id), status: 'stopped' });
    },
    async start(id) {
      const info: SandboxInfo = { ...existing(id), status: 'running' };
      sandboxes.set(id, info);
      return info;
    },
    async destroy(id) {
      sandboxes.delete(id);
    },
    pause: async (id) => void move(id, ['running', 'paused'], 'paused'),
    resume: async (id) => move(id, ['running', 'paused'], 'running'),
    hibernate: async (id) => void move(id, ['running', 'paused', 'hibernated'], 'hibernated'),
    wake: async (id) => ({ info: move(id, ['running', 'hibernated'], 'running'), restored: 'memory', reason: null }),
    async snapshot(id, { snapshotId, memory }) {
      if (memory) throw new BerthError('unsupported', 'disks only');
      const { template } = existing(id);
      const info = { id: snapshotId, sandboxId: id, template, memory, sizeBytes: null, createdAt: new Date().toISOString() };
      snapshots.set(snapshotId, snapshots.get(snapshotId) ?? info);
      return snapshots.get(snapshotId)!;
    },
    listSnapshots: async () => [...snapshots.values()],
    deleteSnapshot: async (id) => void snapshots.delete(id),
    async fork(source, specs) {
      if ('sandboxId' in source) existing(source.sandboxId);
      else if (!snapshots.has(source.snapshotId)) throw new BerthError('not_found', `no snapshot ${source.snapshotId}`);
      return specs.map((spec) => {
        const info: SandboxInfo = { ...spec, status: 'running', reference: spec.id, createdAt: new Date().toISOString() };
        sandboxes.set(spec.id, info);
        return info;
      });
    },
    async update(id, change) {
      const info: SandboxInfo = { ...existing(id), ...change };
      sandboxes.set(id, info);
      return info;
    },
    dial: () => Promise.reject(new BerthError('unsupported', 'no streams here')),
    stats: () => Promise.reject(new BerthError('unsupported', 'no figures here')),
    close: async () => {},
  };
  return {
    ...provider,
    hibernate: async (id, options) => (await before('hibernate', id), provider.hibernate(id, options)),
    wake: async (id, options) => (await before('wake', id), provider.wake(id, options)),
    snapshot: async (id, request, options) => (await before('snapshot', request.snapshotId), provider.snapshot(id, request, options)),
    deleteSnapshot: async (id, options) => (await before('deleteSnapshot', id), provider.deleteSnapshot(id, options)),
    fork: async (source, specs, options) => (await before('fork', specs[0]!.id), provider.fork(source, specs, options)),
  };
}

function plainAgent(name: string) {
  return {
    name,
    title: name,
    packages: [],
    model: 'none' as const,
    launch: () => ({ argv: [name], env: {}, files: [], defaultModeId: null, config: {} }),
  };
}
