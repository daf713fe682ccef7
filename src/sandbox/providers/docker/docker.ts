import { z } from 'zod';
import type {
  SandboxCapabilities,
  SandboxInfo,
  SandboxProvider,
  SandboxSpec,
} from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { runnerPort } from '../../../protocol/runner-api.ts';
import type { DriverFactory } from '../../registry.ts';
import { placePackagedBundle, type PlaceBundle } from '../../runner-layer/bundle.ts';
import { createKeyLock } from '../_shared/key-lock.ts';
import { connectRunnerSocket, dialThroughRunner, waitForRunner } from '../_shared/runner-socket.ts';
import { checkId, checkLabels, checkLimits, checkNetwork, checkSpec, forkIds } from '../_shared/spec-check.ts';
import { copySandbox, deleteSnapshot, describeSnapshot, findSnapshot, listSnapshots } from './copies.ts';
import { connectEngine, engineCall, type ConnectEngine } from './engine.ts';
import { forkSandboxes } from './fork.ts';
import { openInstallation, sandboxIds, type Installation } from './installation.ts';
import { isolationOf } from './isolation.ts';
import { changeLimits } from './limits.ts';
import { isSandbox, labels } from './names.ts';
import { readRecord, writeRecord } from './record.ts';
import { recoverInstallation } from './recover.ts';
import { createEngineReport } from './report.ts';
import {
  describeSandbox,
  haltSandbox,
  inspectSandbox,
  makeSandbox,
  rebootSandbox,
  removeSandbox,
  requireSpace,
  sandboxParts,
} from './sandbox.ts';
import { statsOf } from './stats.ts';

export interface DockerOptions {
  dataDir: string;
  /** Default `<dataDir>/agents`. */
  agentsDir?: string | undefined;
  /** Of Docker or Podman. Default `/var/run/docker.sock`. */
  socketPath?: string | undefined;
  /** One of the engine's, as `runsc` or `kata`. Default the engine's own. */
  runtime?: string | null | undefined;
  /** Images in the engine by template name; they go before templates of this machine. */
  images?: Readonly<Record<string, string>> | undefined;
  /** Where the runner's bundle comes from. Default: this package. */
  placeBundle?: PlaceBundle | undefined;
  /** How long `stop` lets processes end by themselves; whole seconds to the engine. Default 3000. */
  stopGraceMs?: number | undefined;
  connect?: ConnectEngine | undefined;
}

const driverOptions = z.strictObject({
  agentsDir: z.string().startsWith('/').optional(),
  socketPath: z.string().startsWith('/').optional(),
  runtime: z.string().regex(/^[\w.-]+$/).nullish(),
  images: z.record(z.string(), z.string()).optional(),
  stopGraceMs: z.number().int().min(0).optional(),
});

export const dockerDriver: DriverFactory = (context, options) => {
  const parsed = driverOptions.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new BerthError('invalid_request', `docker: ${issue?.message}`, { field: issue?.path.join('.') ?? 'options' });
  }
  return createDockerProvider({ dataDir: context.dataDir, ...parsed.data });
};

export const defaultSocketPath = '/var/run/docker.sock';
const defaultStopGraceMs = 3000;
const name = 'docker';

/**
 * Sandboxes as containers of a Docker or Podman on this machine, one process of Berth per data directory. What exists
 * is found by the containers' labels and the records beside them, so a new process goes on where another ended.
 */
export function createDockerProvider(options: DockerOptions): SandboxProvider {
  const lock = createKeyLock();
  const making = new Set<string>();
  const socketPath = options.socketPath ?? defaultSocketPath;
  const runtime = options.runtime ?? null;
  let opening: Promise<Installation> | null = null;
  let opened: Installation | null = null;
  let closed = false;

  function open(): Promise<Installation> {
    if (closed) throw new BerthError('unavailable', 'the provider is closed');
    opening ??= openInstallation({
      dataDir: options.dataDir,
      agentsDir: options.agentsDir ?? `${options.dataDir}/agents`,
      socketPath,
      runtime,
      images: options.images ?? {},
      placeBundle: options.placeBundle ?? placePackagedBundle,
      connect: options.connect ?? connectEngine,
    })
      .then(recovered)
      .then(
        (installation) => (opened = installation),
        (error: unknown) => {
          // The next call tries again.
          opening = null;
          throw error;
        },
      );
    return opening;
  }

  async function recovered(installation: Installation): Promise<Installation> {
    try {
      await recoverInstallation(installation);
      return installation;
    } catch (error) {
      await installation.release();
      throw error;
    }
  }

  const capabilities = (): SandboxCapabilities => capabilitiesOf(opened, runtime);
  const check = (spec: SandboxSpec) => checkSpec(spec, { name, capabilities: capabilities() });

  async function existing(installation: Installation, id: string): Promise<SandboxInfo> {
    checkId(id);
    const info = making.has(id) ? null : await inspectSandbox(installation, id);
    if (info === null) throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
    return info;
  }

  const refuse = ({ id, status }: SandboxInfo, what: string) =>
    new BerthError('conflict', `sandbox ${id} is ${status}: ${what}`, { context: { id, status } });

  const unsupported = (what: string, field?: string) =>
    new BerthError('unsupported', `the docker provider ${what}`, field === undefined ? {} : { field });

  /** Runs `run` while nothing else is done to these sandboxes, of which none exists yet. */
  async function reserving<T>(installation: Installation, ids: readonly string[], run: () => Promise<T>): Promise<T> {
    const taken = new Set(await sandboxIds(installation));
    const conflict = ids.find((id) => taken.has(id));
    if (conflict !== undefined) {
      throw new BerthError('conflict', `sandbox ${conflict} exists`, { context: { id: conflict } });
    }
    for (const id of ids) making.add(id);
    try {
      return await run();
    } finally {
      for (const id of ids) making.delete(id);
    }
  }

  return {
    name,
    get capabilities() {
      return capabilities();
    },

    async probe({ signal }) {
      signal.throwIfAborted();
      const { connect } = options;
      return createEngineReport({ socketPath, runtime, ...(connect === undefined ? {} : { connect }) });
    },

    async create(spec, { signal }) {
      const installation = await open();
      check(spec);
      return lock.run(spec.id, async () => {
        signal.throwIfAborted();
        const template = await installation.templates.current(spec.template);
        await requireSpace(installation);
        const { version: runnerVersion } = await installation.layer();
        await reserving(installation, [spec.id], () => {
          const record = {
            id: spec.id,
            createdAt: new Date().toISOString(),
            template: { name: template.name, version: template.version },
            image: template.image,
            limits: { ...spec.limits },
            labels: { ...spec.labels },
            env: { ...template.env, ...spec.env },
            runnerToken: spec.runnerToken,
            runnerVersion,
          };
          return makeSandbox(installation, record, template.binds, signal);
        });
        return existing(installation, spec.id);
      });
    },

    async checkTemplate(name, { signal }) {
      const { templates } = await open();
      signal.throwIfAborted();
      await templates.check(name);
    },

    async removeUnusedTemplates({ signal }) {
      const { templates } = await open();
      signal.throwIfAborted();
      await templates.removeUnused();
    },

    async list({ signal }) {
      const installation = await open();
      const filters = { label: [`${labels.installation}=${installation.id}`, labels.sandbox] };
      const containers = await engineCall(() => installation.engine.listContainers({ all: true, filters }));
      signal.throwIfAborted();
      const states = new Map<string, string | null>((await sandboxIds(installation)).map((id) => [id, null]));
      const own = containers.filter((each) => isSandbox(installation.id, each));
      for (const { Labels, State } of own) states.set(Labels[labels.sandbox]!, State);
      const known = [...states].filter(([id]) => !making.has(id));
      return Promise.all(known.map(([id, state]) => describeSandbox(installation, id, state)));
    },

    async get(id, { signal }) {
      const installation = await open();
      signal.throwIfAborted();
      return existing(installation, id);
    },

    async stop(id, { signal }) {
      const installation = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'broken' || info.status === 'stopped') return;
        await haltSandbox(sandboxParts(installation, id), options.stopGraceMs ?? defaultStopGraceMs);
      });
    },

    async start(id, { signal }) {
      const installation = await open();
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'running') return info;
        const parts = sandboxParts(installation, id);
        const record = await readRecord(parts.paths.record);
        if (record === null || info.status !== 'stopped') {
          throw refuse(info, info.status === 'paused' ? 'resume it' : 'it can only be destroyed');
        }
        try {
          await rebootSandbox(installation, parts, record, signal);
        } catch (error) {
          await haltSandbox(parts, 0);
          throw error;
        }
        return existing(installation, id);
      });
    },

    async destroy(id, { signal }) {
      checkId(id);
      const installation = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        await removeSandbox(installation, id);
      });
    },

    async dial(id, port, { signal }) {
      const installation = await open();
      const { paths } = sandboxParts(installation, id);
      // The kernel takes connections for a frozen runner too, which nobody would answer.
      const info = await existing(installation, id);
      const lost = (cause?: unknown) =>
        new BerthError('sandbox_lost', `sandbox ${id} is ${info.status} and its runner cannot be reached`, {
          context: { id, status: info.status },
          cause,
        });
      if (info.status !== 'running') throw lost();
      try {
        const socket = await connectRunnerSocket(paths.run, signal);
        if (port === runnerPort) return socket;
        const record = await readRecord(paths.record);
        if (record !== null) return await dialThroughRunner(socket, port, record.runnerToken, signal);
        socket.destroy();
      } catch (cause) {
        signal.throwIfAborted();
        throw cause instanceof BerthError ? cause : lost(cause);
      }
      throw lost();
    },

    async stats(id, { signal }) {
      const installation = await open();
      const info = await existing(installation, id);
      if (info.status === 'broken') throw refuse(info, 'it can only be destroyed');
      return statsOf(installation, sandboxParts(installation, id), signal);
    },

    async update(id, change, { signal }) {
      if (capabilities().update === 'none') throw unsupported(`cannot change what runs in ${runtime}`);
      const installation = await open();
      checkLimits(change.limits, capabilities());
      checkLabels(change.labels);
      checkNetwork(change.network, { name: 'docker', capabilities: capabilities() });
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        const parts = sandboxParts(installation, id);
        const record = await readRecord(parts.paths.record);
        if (record === null || info.status === 'broken') throw refuse(info, 'it can only be destroyed');
        const { memoryBytes } = change.limits;
        if (memoryBytes > 0 && memoryBytes < record.limits.memoryBytes && info.status !== 'stopped') {
          const { privateMemoryBytes } = await statsOf(installation, parts, signal);
          if (privateMemoryBytes !== null && privateMemoryBytes > memoryBytes) {
            throw refuse(info, `it uses ${privateMemoryBytes} bytes of memory`);
          }
        }
        // The engine's part first: after a crash in between the record tells the old, and the same call completes it.
        await changeLimits(installation, parts.container, change.limits);
        await writeRecord(parts.paths.record, { ...record, labels: { ...change.labels }, limits: { ...change.limits } });
        return existing(installation, id);
      });
    },

    async pause(id, { signal }) {
      if (capabilities().pause === 'none') throw unsupported(`cannot hold still what runs in ${runtime}`);
      const installation = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'paused') return;
        if (info.status !== 'running') throw refuse(info, 'it cannot be paused');
        await engineCall(() => sandboxParts(installation, id).container.pause());
      });
    },

    async resume(id, { signal }) {
      if (capabilities().pause === 'none') throw unsupported(`cannot hold still what runs in ${runtime}`);
      const installation = await open();
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'running') return info;
        if (info.status !== 'paused') throw refuse(info, 'it cannot be resumed');
        const { container, paths } = sandboxParts(installation, id);
        await engineCall(() => container.unpause());
        const alive = async () => (await engineCall(() => container.inspect())).State.Running;
        await waitForRunner(paths.run, alive, signal);
        return existing(installation, id);
      });
    },

    async hibernate() {
      throw unsupported('cannot write processes to disk');
    },

    async wake() {
      throw unsupported('cannot write processes to disk');
    },

    async snapshot(id, { snapshotId, memory }, { signal }) {
      checkId(snapshotId);
      const installation = await open();
      if (memory) throw unsupported('takes snapshots of disks, not of memory', 'memory');
      return lock.runAll([id, snapshotKey(snapshotId)], async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'broken') throw refuse(info, 'it cannot be copied');
        const parts = sandboxParts(installation, id);
        const record = await readRecord(parts.paths.record);
        const present = await findSnapshot(installation, snapshotId);
        if (present !== null && present.sandboxId !== id) {
          throw new BerthError('conflict', `snapshot ${snapshotId} is of another sandbox, ${present.sandboxId}`, {
            field: 'snapshotId',
          });
        }
        if (present === null) {
          await requireSpace(installation);
          await copySandbox(installation, parts, record!, snapshotId, signal);
        }
        const copy = present ?? (await findSnapshot(installation, snapshotId));
        if (copy === null) throw new BerthError('upstream_failed', `the engine lost snapshot ${snapshotId}`);
        return describeSnapshot(installation, snapshotId, copy);
      });
    },

    async listSnapshots({ signal }) {
      const installation = await open();
      signal.throwIfAborted();
      return listSnapshots(installation);
    },

    async deleteSnapshot(snapshotId, { signal }) {
      checkId(snapshotId);
      const installation = await open();
      await lock.run(snapshotKey(snapshotId), async () => {
        signal.throwIfAborted();
        await deleteSnapshot(installation, snapshotId);
      });
    },

    async fork(source, specs, { signal }) {
      const installation = await open();
      for (const spec of specs) check(spec);
      const ids = forkIds(specs);
      const origin = 'sandboxId' in source ? source.sandboxId : snapshotKey(source.snapshotId);
      return lock.runAll([origin, ...ids], async () => {
        signal.throwIfAborted();
        if ('snapshotId' in source) {
          checkId(source.snapshotId);
        } else {
          const info = await existing(installation, source.sandboxId);
          if (info.status === 'broken') throw refuse(info, 'it cannot be forked');
        }
        await requireSpace(installation);
        await reserving(installation, ids, () => forkSandboxes(installation, source, specs, signal));
        return Promise.all(ids.map((id) => existing(installation, id)));
      });
    },

    async close() {
      if (closed) return;
      closed = true;
      await lock.idle();
      await opening?.then(
        (installation) => installation.release(),
        () => {},
      );
    },
  };
}

/** No sandbox has such an id. */
const snapshotKey = (snapshotId: string) => `snapshot:${snapshotId}`;

/** Before the first call the most that an engine can have; from then on what this one has. */
function capabilitiesOf(installation: Installation | null, runtime: string | null): SandboxCapabilities {
  const isolation = isolationOf(runtime);
  // gVisor's own kernel goes on while what runs in it is paused, and there its runtime cannot change limits.
  const held = isolation !== 'user-kernel';
  return {
    pause: held ? 'memory' : 'none',
    hibernate: 'none',
    snapshot: 'disk',
    fork: 'live',
    ports: 'dynamic',
    network: ['none'],
    limits: installation?.facts.limits ?? ['cpus', 'memoryBytes', 'pids'],
    update: held ? 'live' : 'none',
    sharedObjects: 'none',
    isolation,
  };
}
