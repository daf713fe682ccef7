import { existsSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { SandboxCapabilities, SandboxInfo, SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { runnerPort } from '../../../protocol/runner-api.ts';
import { checkMachineLimits } from '../../microvm/machine-shape.ts';
import type { DriverFactory } from '../../registry.ts';
import { placePackagedBundle, type PlaceBundle } from '../../runner-layer/bundle.ts';
import { createKeyLock } from '../_shared/key-lock.ts';
import { dialThroughRunner } from '../_shared/runner-socket.ts';
import { noTemplate } from '../../templates/template.ts';
import { checkId, checkSpec } from '../_shared/spec-check.ts';
import { createChannels } from '../../microvm/channels.ts';
import { createMachineApi } from './api.ts';
import { forgetMemory } from './hibernation.ts';
import { openInstallation } from './installation.ts';
import { kvmDevice } from './kvm.ts';
import { createPersistence, pausedPids } from './persistence.ts';
import { liveProcess, usageOf } from '../../microvm/processes.ts';
import { recover } from './recovery.ts';
import { createReport } from './report.ts';
import {
  describeSandbox,
  haltSandbox,
  inspectSandbox,
  makeSandbox,
  recordOf,
  removeSandbox,
  sandboxIds,
  sandboxParts,
  shapeOf,
  startSandbox,
  type Context,
  type SandboxParts,
} from './sandbox.ts';
import { writeRecord } from '../_shared/record-file.ts';

export interface FirecrackerOptions {
  dataDir: string;
  /** Default `<dataDir>/agents`. */
  agentsDir?: string | undefined;
  placeBundle?: PlaceBundle | undefined;
  /** How long `stop` lets processes end by themselves. Default 3000. */
  stopGraceMs?: number | undefined;
  /** Of one release. Default: those on the system's path. */
  firecracker?: string | undefined;
  jailer?: string | undefined;
  /** Default `/dev/kvm`. */
  kvmDevice?: string | undefined;
  /** Default: Berth's own. */
  kernelDir?: string | undefined;
}

const driverOptions = z.strictObject({
  agentsDir: z.string().startsWith('/').optional(),
  stopGraceMs: z.number().int().min(0).optional(),
  firecracker: z.string().startsWith('/').optional(),
  jailer: z.string().startsWith('/').optional(),
});

export const firecrackerDriver: DriverFactory = (context, options) => {
  const parsed = driverOptions.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new BerthError('invalid_request', `firecracker: ${issue?.message}`, { field: issue?.path.join('.') ?? 'options' });
  }
  return createFirecrackerProvider({ dataDir: context.dataDir, ...parsed.data });
};

const defaultStopGraceMs = 3000;
/** Beyond the grace, for the guest to write its disk and turn itself off. */
const turnOffMs = 10_000;
const minFreeBytes = 512 * 1024 ** 2;

export const firecrackerCapabilities: SandboxCapabilities = {
  pause: 'memory',
  hibernate: 'memory+disk',
  snapshot: 'disk',
  fork: 'live',
  ports: 'dynamic',
  network: ['none'],
  limits: ['cpus', 'memoryBytes', 'pids', 'diskBytes'],
  update: 'none',
  sharedObjects: 'none',
  isolation: 'vm',
};

/** Sandboxes as Firecracker's machines, one jailed process each, one process of Berth per data directory. */
export function createFirecrackerProvider(options: FirecrackerOptions): SandboxProvider {
  const programs = { firecracker: options.firecracker, jailer: options.jailer };
  const lock = createKeyLock();
  const making = new Set<string>();
  const channels = createChannels();
  /** How many layers of agents each sandbox has been told of, since its machine was started. */
  const shown = new Map<string, number>();
  let opening: Promise<Context> | null = null;
  let closed = false;

  function open(): Promise<Context> {
    if (closed) throw new BerthError('unavailable', 'the provider is closed');
    opening ??= openContext().catch((error: unknown) => {
      // The next call tries again.
      opening = null;
      throw error;
    });
    return opening;
  }

  async function openContext(): Promise<Context> {
    const installation = await openInstallation({
      dataDir: options.dataDir,
      agentsDir: options.agentsDir ?? `${options.dataDir}/agents`,
      placeBundle: options.placeBundle ?? placePackagedBundle,
      programs,
      kernelDir: options.kernelDir,
    });
    const context = { installation, channels };
    try {
      await recover(context);
      return context;
    } catch (error) {
      await installation.release();
      throw error;
    }
  }

  async function existing({ installation }: Context, id: string): Promise<SandboxInfo> {
    checkId(id);
    const info = making.has(id) ? null : await inspectSandbox(installation, id);
    if (info === null) throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
    return info;
  }

  function check(spec: SandboxSpec): void {
    checkSpec(spec, { name: 'firecracker', capabilities: firecrackerCapabilities });
    checkMachineLimits(spec.limits);
  }

  /** After a failed dial: why. */
  async function whyUnreachable(context: Context, id: string, cause: unknown): Promise<BerthError> {
    const info = await existing(context, id);
    if (info.status === 'running' && cause instanceof BerthError) return cause;
    return new BerthError('sandbox_lost', `sandbox ${id} is ${info.status} and its runner cannot be reached`, {
      context: { id, status: info.status },
      cause,
    });
  }

  /** Agents that were installed since the sandbox was last looked at are in it from here on. */
  async function showAgents({ installation }: Context, id: string, signal: AbortSignal): Promise<void> {
    const layers = await installation.agents.refresh();
    if ((shown.get(id) ?? 0) === layers) return;
    await installation.control.tell(sandboxParts(installation, id).sockets.control, ['agents'], signal);
    shown.set(id, layers);
  }

  /** Has the guest end its processes, write its disk and turn itself off. What does not in time is cut off. */
  async function turnOff({ installation }: Context, parts: SandboxParts, paused: boolean): Promise<void> {
    const graceMs = options.stopGraceMs ?? defaultStopGraceMs;
    const signal = AbortSignal.timeout(graceMs + turnOffMs);
    try {
      if (paused) {
        await createMachineApi(parts.sockets.api, signal).setState('Resumed');
      }
      await installation.control.tell(parts.sockets.control, ['stop', String(graceMs * 1000)], signal);
      while ((await liveProcess(parts.paths.process)) !== null && !signal.aborted) await sleep(lookMs);
    } catch {
      // It has ended, or it hangs: what follows ends it either way.
    }
  }

  return {
    name: 'firecracker',
    capabilities: firecrackerCapabilities,

    async probe({ signal }) {
      signal.throwIfAborted();
      return createReport(programs, options.kvmDevice ?? kvmDevice);
    },

    async create(spec, { signal }) {
      check(spec);
      const context = await open();
      const { installation } = context;
      return lock.run(spec.id, async () => {
        signal.throwIfAborted();
        const template = await installation.templates.current(spec.template);
        const { bavail, bsize } = await statfs(installation.sandboxesDir);
        if (bavail * bsize < minFreeBytes) {
          throw new BerthError('resource_exhausted', 'the disk for sandboxes is full', { context: { freeBytes: bavail * bsize } });
        }
        if (existsSync(sandboxParts(installation, spec.id).paths.directory)) {
          throw new BerthError('conflict', `sandbox ${spec.id} exists`, { context: { id: spec.id } });
        }
        making.add(spec.id);
        try {
          await installation.agents.refresh();
          const record = await makeSandbox(context, spec, template, null, signal);
          return describeSandbox(installation, record, 'running');
        } finally {
          making.delete(spec.id);
        }
      });
    },

    async checkTemplate(name, { signal }) {
      const { installation } = await open();
      signal.throwIfAborted();
      if (!installation.templates.has(name)) throw noTemplate(name);
    },

    async list({ signal }) {
      const { installation } = await open();
      const ids = await sandboxIds(installation);
      signal.throwIfAborted();
      const infos = await Promise.all(ids.filter((id) => !making.has(id)).map((id) => inspectSandbox(installation, id)));
      return infos.filter((info) => info !== null);
    },

    async get(id, { signal }) {
      const context = await open();
      signal.throwIfAborted();
      return existing(context, id);
    },

    async stop(id, { signal }) {
      const context = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        const parts = sandboxParts(context.installation, id);
        if (info.status === 'running' || info.status === 'paused') await turnOff(context, parts, info.status === 'paused');
        await haltSandbox(context, id, (await recordOf(context.installation, id))?.uid ?? null);
        shown.delete(id);
        // Of a hibernated one the processes are given up: the caller asks for their end.
        await forgetMemory(parts);
      });
    },

    async start(id, { signal }) {
      const context = await open();
      const { installation } = context;
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'running') return info;
        const record = await recordOf(installation, id);
        if (record === null || info.status !== 'stopped') {
          throw new BerthError('conflict', `sandbox ${id} is ${info.status} and cannot be started`, {
            context: { id, status: info.status },
          });
        }
        const parts = sandboxParts(installation, id);
        // With the kernel and the runner of today.
        const template = await installation.templates.version(record.template.name, record.template.version);
        const limits = { ...record.limits, diskBytes: record.shape.diskBytes };
        const runnerVersion = (await installation.layer()).version;
        const started = { ...record, runnerVersion, shape: await shapeOf(installation, template, limits, signal) };
        await writeRecord(parts.paths.record, started);
        try {
          await startSandbox(context, parts, started, signal);
        } catch (error) {
          await haltSandbox(context, id, record.uid);
          throw error;
        }
        return describeSandbox(installation, started, 'running');
      });
    },

    async destroy(id, { signal }) {
      checkId(id);
      const context = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        await removeSandbox(context, id);
        shown.delete(id);
      });
    },

    async dial(id, port, { signal }) {
      checkId(id);
      const context = await open();
      const { installation } = context;
      const { paths, sockets } = sandboxParts(installation, id);
      try {
        if (making.has(id) || existsSync(paths.paused)) throw new BerthError('sandbox_lost', `sandbox ${id} does not run`);
        const stream = await channels.dial(id, sockets.link, signal);
        await showAgents(context, id, signal);
        if (port === runnerPort) return stream;
        const record = await recordOf(installation, id);
        if (record === null) throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
        return await dialThroughRunner(stream, port, record.runnerToken, signal);
      } catch (cause) {
        signal.throwIfAborted();
        throw await whyUnreachable(context, id, cause);
      }
    },

    async stats(id, { signal }) {
      const context = await open();
      const { installation } = context;
      const info = await existing(context, id);
      const parts = sandboxParts(installation, id);
      const disk = await stat(parts.paths.disk).catch(() => null);
      const diskBytes = (disk?.blocks ?? 0) * 512;
      const machine = await liveProcess(parts.paths.process);
      if (machine === null) return { memoryBytes: 0, privateMemoryBytes: 0, cpuTimeMs: 0, pids: 0, diskBytes };
      const usage = await usageOf(machine.pid, 'fc_vcpu');
      if (info.status === 'paused') return { ...usage, pids: await pausedPids(parts.paths), diskBytes };
      const [pids] = (await installation.control.tell(parts.sockets.control, ['stats'], signal)).split(' ').map(Number);
      return { ...usage, pids: pids ?? 0, diskBytes };
    },

    async update() {
      throw new BerthError('unsupported', "a machine's labels and limits are those it was made with");
    },

    ...createPersistence({ open, existing, check, lock, making, onRestart: (id) => shown.delete(id) }),

    async close() {
      if (closed) return;
      closed = true;
      await lock.idle();
      await channels.close();
      await opening?.then(
        ({ installation }) => installation.release(),
        () => {},
      );
    },
  };
}

const lookMs = 20;
