import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProviderReport, SandboxCapabilities, SandboxInfo, SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { runnerPort } from '../../../protocol/runner-api.ts';
import type { FullNetworkSettings } from '../../full-network/host-check.ts';
import { createKeyLock } from '../../providers/_shared/key-lock.ts';
import { writeRecord } from '../../providers/_shared/record-file.ts';
import { dialThroughRunner } from '../../providers/_shared/runner-socket.ts';
import { freeBytesAt } from '../../free-bytes.ts';
import { requireRoom } from '../../providers/_shared/require-room.ts';
import { checkId, checkNetwork, checkSpec } from '../../providers/_shared/spec-check.ts';
import { noTemplate } from '../../templates/template.ts';
import { createChannels } from '../channels.ts';
import { checkMachineLimits } from '../machine-shape.ts';
import { liveProcess, usageOf } from '../processes.ts';
import { watchFullDisk } from './full-disk.ts';
import { forgetMemory } from './hibernation.ts';
import type { Installation } from './installation.ts';
import type { MachineKind, Machines, SandboxParts } from './machines.ts';
import { updateSandbox } from './network.ts';
import { createPersistence, pausedPids } from './persistence.ts';
import { recover } from './recovery.ts';
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
} from './sandbox.ts';

export interface MicrovmDriver<K extends MachineKind> {
  name: string;
  probe(): Promise<ProviderReport>;
  /** Called before the first operation, and again after it has failed. What it opened is released by the provider. */
  open(): Promise<{ installation: Installation; machines: Machines<K> }>;
  /** How long `stop` lets processes end by themselves. Default 3000. */
  stopGraceMs?: number | undefined;
  /** What the operator has set; `null`: no sandbox has a network of its own. */
  fullNetwork: FullNetworkSettings | null;
}

const defaultStopGraceMs = 3000;
/** Beyond the grace, for the guest to write its disk and turn itself off. */
const turnOffMs = 10_000;
const lookMs = 20;

/** The same of all kinds: it follows from the guest, its init and the images. */
const baseCapabilities: SandboxCapabilities = {
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

const capabilitiesWith = (network: boolean): SandboxCapabilities => ({ ...baseCapabilities, network: network ? ['none', 'full'] : ['none'] });

/** Sandboxes as virtual machines of this machine, one process each, with one process of Berth per data directory. */
export function createMicrovmProvider<K extends MachineKind>(driver: MicrovmDriver<K>): SandboxProvider {
  const lock = createKeyLock();
  const making = new Set<string>();
  const channels = createChannels();
  /** How many layers of agents each sandbox has been told of, since its machine was started. */
  const shown = new Map<string, number>();
  /** Of the network: what was asked for until the host was looked at, and then what it can. */
  let capabilities = capabilitiesWith(driver.fullNetwork !== null);
  let opening: Promise<Context<K>> | null = null;
  let unwatch = () => Promise.resolve();
  let closed = false;

  function open(): Promise<Context<K>> {
    if (closed) throw new BerthError('unavailable', 'the provider is closed');
    opening ??= openContext().catch((error: unknown) => {
      // The next call tries again.
      opening = null;
      throw error;
    });
    return opening;
  }

  async function openContext(): Promise<Context<K>> {
    const context = { ...(await driver.open()), channels };
    try {
      await recover(context);
      capabilities = capabilitiesWith(context.installation.network !== null);
      unwatch = watchFullDisk(context, lock);
      return context;
    } catch (error) {
      await context.installation.release();
      throw error;
    }
  }

  async function existing(context: Context<K>, id: string): Promise<SandboxInfo> {
    checkId(id);
    const info = making.has(id) ? null : await inspectSandbox(context, id);
    if (info === null) throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
    return info;
  }

  function check(spec: SandboxSpec): void {
    checkSpec(spec, { name: driver.name, capabilities });
    checkMachineLimits(spec.limits);
  }

  /** After a failed dial: why. */
  async function whyUnreachable(context: Context<K>, id: string, cause: unknown): Promise<BerthError> {
    const info = await existing(context, id);
    if (info.status === 'running' && cause instanceof BerthError) return cause;
    return new BerthError('sandbox_lost', `sandbox ${id} is ${info.status} and its runner cannot be reached`, {
      context: { id, status: info.status },
      cause,
    });
  }

  /** Agents that were installed since the sandbox was last looked at are in it from here on. */
  async function showAgents(context: Context<K>, id: string, signal: AbortSignal): Promise<void> {
    const layers = await context.installation.agents.refresh();
    if ((shown.get(id) ?? 0) === layers) return;
    await context.installation.control.tell(sandboxParts(context, id).lines.control, ['agents'], signal);
    shown.set(id, layers);
  }

  /** Has the guest end its processes, write its disk and turn itself off. What does not in time is cut off. */
  async function turnOff({ installation, machines }: Context<K>, parts: SandboxParts, paused: boolean): Promise<void> {
    const graceMs = driver.stopGraceMs ?? defaultStopGraceMs;
    const signal = AbortSignal.timeout(graceMs + turnOffMs);
    try {
      if (paused) await machines.letGo(parts.id, signal);
      await installation.control.tell(parts.lines.control, ['stop', String(graceMs * 1000)], signal);
      while ((await liveProcess(parts.paths.process)) !== null && !signal.aborted) await sleep(lookMs);
    } catch {
      // It has ended, or it hangs: what follows ends it either way.
    }
  }

  return {
    name: driver.name,
    get capabilities() {
      return capabilities;
    },

    async probe({ signal }) {
      signal.throwIfAborted();
      return driver.probe();
    },

    async create(spec, { signal }) {
      check(spec);
      const context = await open();
      const { installation } = context;
      return lock.run(spec.id, async () => {
        signal.throwIfAborted();
        const template = await installation.templates.current(spec.template);
        requireRoom(await freeBytesAt(installation.sandboxesDir));
        if (existsSync(sandboxParts(context, spec.id).paths.directory)) {
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
      const context = await open();
      const ids = await sandboxIds(context.installation);
      signal.throwIfAborted();
      const infos = await Promise.all(ids.filter((id) => !making.has(id)).map((id) => inspectSandbox(context, id)));
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
        const parts = sandboxParts(context, id);
        if (info.status === 'running' || info.status === 'paused') await turnOff(context, parts, info.status === 'paused');
        await haltSandbox(context, id, (await recordOf(context, id))?.uid ?? null);
        shown.delete(id);
        // Of a hibernated one the processes are given up: the caller asks for their end.
        await forgetMemory(context, parts);
      });
    },

    async start(id, { signal }) {
      const context = await open();
      const { installation } = context;
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'running') return info;
        const record = await recordOf(context, id);
        if (record === null || info.status !== 'stopped') {
          throw new BerthError('conflict', `sandbox ${id} is ${info.status} and cannot be started`, {
            context: { id, status: info.status },
          });
        }
        const parts = sandboxParts(context, id);
        // With the kernel and the runner of today.
        const template = await installation.templates.version(record.template.name, record.template.version);
        const means = { limits: { ...record.limits, diskBytes: record.shape.diskBytes }, network: record.network };
        const runnerVersion = (await installation.layer()).version;
        const started = { ...record, runnerVersion, shape: await shapeOf(installation, template, means, signal) };
        await writeRecord(parts.paths.record, started);
        try {
          await startSandbox(context, { ...parts, record: started }, signal);
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
        const record = await recordOf(context, id);
        await removeSandbox(context, id);
        shown.delete(id);
        if (record !== null) await context.machines.disks.forget(record);
      });
    },

    async dial(id, port, { signal }) {
      checkId(id);
      const context = await open();
      const { paths, lines } = sandboxParts(context, id);
      try {
        if (making.has(id) || existsSync(paths.paused)) throw new BerthError('sandbox_lost', `sandbox ${id} does not run`);
        const stream = await channels.dial(id, lines.link, signal);
        await showAgents(context, id, signal);
        if (port === runnerPort) return stream;
        const record = await recordOf(context, id);
        if (record === null) throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
        return await dialThroughRunner(stream, port, record.runnerToken, signal);
      } catch (cause) {
        signal.throwIfAborted();
        throw await whyUnreachable(context, id, cause);
      }
    },

    async stats(id, { signal }) {
      const context = await open();
      const { installation, machines } = context;
      const info = await existing(context, id);
      const parts = sandboxParts(context, id);
      const record = await recordOf(context, id);
      const disk = record === null ? null : await stat(machines.disks.path({ ...parts, record })).catch(() => null);
      const diskBytes = (disk?.blocks ?? 0) * 512;
      const machine = await liveProcess(parts.paths.process);
      if (machine === null) return { memoryBytes: 0, privateMemoryBytes: 0, cpuTimeMs: 0, pids: 0, diskBytes };
      const usage = await usageOf(machine.pid, machines.vcpuPrefix);
      const counted = (await installation.network?.counts(id)) ?? null;
      const connections = counted === null ? {} : { connections: counted };
      if (info.status === 'paused') return { ...usage, pids: await pausedPids(parts.paths), diskBytes, ...connections };
      const [pids] = (await installation.control.tell(parts.lines.control, ['stats'], signal)).split(' ').map(Number);
      return { ...usage, pids: pids ?? 0, diskBytes, ...connections };
    },

    async update(id, change, { signal }) {
      checkNetwork(change.network, { name: driver.name, capabilities });
      const context = await open();
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        const record = await recordOf(context, id);
        if (record === null) throw new BerthError('conflict', `sandbox ${id} can only be destroyed`, { context: { id } });
        const sandbox = { ...sandboxParts(context, id), record };
        return describeSandbox(context.installation, await updateSandbox(context, sandbox, info.status, change, signal), info.status);
      });
    },

    ...createPersistence({ open, existing, check, lock, making, onRestart: (id) => shown.delete(id) }),

    async close() {
      if (closed) return;
      closed = true;
      const context = await opening?.catch(() => null);
      await unwatch();
      await lock.idle();
      await channels.close();
      await context?.installation.release();
    },
  };
}
