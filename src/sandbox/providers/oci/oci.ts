import { existsSync } from 'node:fs';
import { z } from 'zod';
import {
  type SandboxCapabilities,
  type SandboxInfo,
  type SandboxLimits,
  type SandboxProvider,
} from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { runnerPort } from '../../../protocol/runner-api.ts';
import { fullNetworkSettings, type FullNetworkSettings } from '../../full-network/host-check.ts';
import { createHostReport } from '../../host/report.ts';
import type { DriverFactory } from '../../registry.ts';
import { placePackagedBundle, type PlaceBundle } from '../../runner-layer/bundle.ts';
import { defaultRoom, type RoomSettings } from '../../storage/image-room.ts';
import { shareObjects } from '../../storage/share-objects.ts';
import { privateMemory } from '../_shared/cgroup.ts';
import { openInstallation, type Installation } from './installation.ts';
import { createKeyLock } from '../_shared/key-lock.ts';
import { createPersistence, persistenceCapabilities, recoverPersistence } from './persistence.ts';
import { networkOf, recoverNetwork } from './network.ts';
import { memoryImage, removeImage } from './memory-image.ts';
import { createOuterStreams } from './outer-streams.ts';
import { readRecord } from './record.ts';
import { connectRunnerSocket, dialThroughRunner } from '../_shared/runner-socket.ts';
import {
  describeSandbox,
  haltSandbox,
  inspectSandbox,
  makeSandbox,
  rebootSandbox,
  removeSandbox,
  sandboxIds,
  sandboxParts,
} from './sandbox.ts';
import { noTemplate } from '../../templates/template.ts';
import { minFreeBytes, requireRoom } from '../_shared/require-room.ts';
import { checkId, checkLabels, checkLimits, checkNetwork, checkSpec } from '../_shared/spec-check.ts';
import { updateSandbox } from './update.ts';

export interface OciOptions {
  dataDir: string;
  /** Default `<dataDir>/agents`. */
  agentsDir?: string | undefined;
  /** Default: what suits the host's cgroups. */
  runtime?: 'runc' | 'crun' | 'runsc' | null | undefined;
  /** Default `auto`: btrfs, a btrfs image, plain directories, whichever works first. */
  storage?: 'auto' | 'btrfs' | 'btrfs-image' | 'directory' | undefined;
  /** How much an image for the disks keeps free. Default: gigabytes. */
  room?: RoomSettings | undefined;
  /** Where the runner's bundle comes from. Default: this package. */
  placeBundle?: PlaceBundle | undefined;
  /** Default `null`: no sandbox has a network of its own. */
  fullNetwork?: FullNetworkSettings | null | undefined;
  /** How long `stop` lets processes end by themselves. Default 3000. */
  stopGraceMs?: number | undefined;
}

const driverOptions = z.strictObject({
  agentsDir: z.string().startsWith('/').optional(),
  runtime: z.enum(['runc', 'crun', 'runsc']).nullish(),
  storage: z.enum(['auto', 'btrfs', 'btrfs-image', 'directory']).optional(),
  stopGraceMs: z.number().int().min(0).optional(),
  fullNetwork: fullNetworkSettings.nullish(),
});

export const ociDriver: DriverFactory = (context, options) => {
  const parsed = driverOptions.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new BerthError('invalid_request', `oci: ${issue?.message}`, { field: issue?.path.join('.') ?? 'options' });
  }
  return createOciProvider({ dataDir: context.dataDir, ...parsed.data });
};

const defaultStopGraceMs = 3000;

/**
 * Sandboxes on this machine through an OCI runtime's command line, one process of Berth per data
 * directory. Everything is found again on the host itself, so a new process goes on where another ended.
 */
export function createOciProvider(options: OciOptions): SandboxProvider {
  const lock = createKeyLock();
  const making = new Set<string>();
  const streams = createOuterStreams();
  let opening: Promise<Installation> | null = null;
  let opened: Installation | null = null;
  let closed = false;

  function open(): Promise<Installation> {
    if (closed) throw new BerthError('unavailable', 'the provider is closed');
    opening ??= openInstallation({
      dataDir: options.dataDir,
      agentsDir: options.agentsDir ?? `${options.dataDir}/agents`,
      runtime: options.runtime ?? null,
      storage: options.storage ?? 'auto',
      room: options.room ?? defaultRoom,
      placeBundle: options.placeBundle ?? placePackagedBundle,
      fullNetwork: options.fullNetwork ?? null,
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
      await recoverPersistence(installation);
      await recoverNetwork(installation);
      return installation;
    } catch (error) {
      await installation.release();
      throw error;
    }
  }

  async function existing(installation: Installation, id: string): Promise<SandboxInfo> {
    checkId(id);
    const info = making.has(id) ? null : await inspectSandbox(installation, id);
    if (info === null) throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
    return info;
  }

  /** After a failed dial: why. */
  async function whyUnreachable(installation: Installation, id: string, cause: unknown): Promise<BerthError> {
    if (cause instanceof BerthError) return cause;
    const info = await existing(installation, id);
    return new BerthError('sandbox_lost', `sandbox ${id} is ${info.status} and its runner cannot be reached`, {
      context: { id, status: info.status },
      cause,
    });
  }

  return {
    name: 'oci',
    get capabilities() {
      return capabilitiesOf(opened, options);
    },

    async probe({ signal }) {
      signal.throwIfAborted();
      return createHostReport({
        dataDir: options.dataDir,
        runtime: options.runtime ?? null,
        storage: options.storage ?? 'auto',
        fullNetwork: options.fullNetwork ?? null,
      });
    },

    async create(spec, { signal }) {
      const installation = await open();
      checkSpec(spec, { name: 'oci', capabilities: capabilitiesOf(installation, options) });
      return lock.run(spec.id, async () => {
        signal.throwIfAborted();
        const template = await installation.templates.current(spec.template);
        requireRoom(await installation.storage.makeRoom(minFreeBytes));
        making.add(spec.id);
        try {
          const record = {
            id: spec.id,
            createdAt: new Date().toISOString(),
            template: { name: template.name, version: template.version },
            limits: { ...spec.limits },
            ...(await networkOf(installation, spec.network)),
            labels: { ...spec.labels },
            env: { ...template.env, ...spec.env },
            runnerToken: spec.runnerToken,
            runnerVersion: (await installation.layer()).version,
          };
          await makeSandbox(installation, record, template, signal);
          return describeSandbox(installation, record, 'running');
        } finally {
          making.delete(spec.id);
        }
      });
    },

    async checkTemplate(name, { signal }) {
      const { templates } = await open();
      signal.throwIfAborted();
      if (!templates.has(name)) throw noTemplate(name);
    },

    async list({ signal }) {
      const installation = await open();
      const ids = await sandboxIds(installation);
      signal.throwIfAborted();
      // One that is being made does not exist yet; one that vanishes while it is looked at does not any more.
      const infos = await Promise.all(
        ids.filter((id) => !making.has(id)).map((id) => inspectSandbox(installation, id)),
      );
      return infos.filter((info) => info !== null);
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
        await existing(installation, id);
        const parts = sandboxParts(installation, id);
        // A paused one runs again, so that the runner can end in order.
        parts.freezer.thaw();
        await haltSandbox(installation, parts, options.stopGraceMs ?? defaultStopGraceMs);
        // Of a hibernated one the processes are given up: the caller asks for their end.
        await removeImage(memoryImage(installation.imagesDir, id));
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
          const way =
            info.status === 'paused'
              ? 'resume it'
              : info.status === 'hibernated'
                ? 'wake it'
                : 'it can only be destroyed';
          throw new BerthError('conflict', `sandbox ${id} is ${info.status}: ${way}`, { context: { id } });
        }
        const template = await installation.templates.version(record.template.name, record.template.version);
        try {
          // What an end without a stop left: a reboot, or the sandbox's own end.
          await haltSandbox(installation, parts, 0);
          await rebootSandbox(installation, parts, record, template, signal);
        } catch (error) {
          await haltSandbox(installation, parts, 0);
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
      checkId(id);
      const installation = await open();
      const { disk, paths, freezer } = sandboxParts(installation, id);
      try {
        if (freezer.state() !== 'thawed' && !existsSync(paths.held)) {
          throw new BerthError('sandbox_lost', `sandbox ${id} is paused`, { context: { id, status: 'paused' } });
        }
        const socket = await connectRunnerSocket(disk.run, signal);
        streams.add(id, socket);
        if (port === runnerPort) return socket;
        const record = await readRecord(paths.record);
        if (record === null) {
          socket.destroy();
          throw new BerthError('not_found', `there is no sandbox ${id}`, { context: { id } });
        }
        return await dialThroughRunner(socket, port, record.runnerToken, signal);
      } catch (cause) {
        signal.throwIfAborted();
        throw await whyUnreachable(installation, id, cause);
      }
    },

    async stats(id, { signal }) {
      const installation = await open();
      await existing(installation, id);
      const { cgroup } = sandboxParts(installation, id);
      const [usage, privateMemoryBytes, diskBytes] = await Promise.all([
        cgroup.usage(),
        cgroup.processes().then(privateMemory),
        installation.storage.diskUsage(id, signal),
      ]);
      const connections = (await installation.network?.counts(id)) ?? null;
      return { ...usage, privateMemoryBytes, diskBytes, ...(connections === null ? {} : { connections }) };
    },

    async update(id, change, { signal }) {
      const installation = await open();
      const capabilities = capabilitiesOf(installation, options);
      checkLimits(change.limits, capabilities);
      checkLabels(change.labels);
      checkNetwork(change.network, { name: 'oci', capabilities });
      return lock.run(id, async () => {
        signal.throwIfAborted();
        await existing(installation, id);
        const record = await readRecord(sandboxParts(installation, id).paths.record);
        if (record === null)
          throw new BerthError('conflict', `sandbox ${id} can only be destroyed`, { context: { id } });
        await updateSandbox(installation, record, change, signal);
        return existing(installation, id);
      });
    },

    ...createPersistence({
      open,
      existing,
      capabilities: () => capabilitiesOf(opened, options),
      lock,
      making,
      streams,
    }),

    async shareObjects(id, objectsDir, { signal }) {
      const installation = await open();
      await existing(installation, id);
      await shareObjects(objectsDir, installation.storage.objectsPath(id), signal);
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

/** Before the first call the most that a host can have; from then on what this host has. */
function capabilitiesOf(installation: Installation | null, options: OciOptions): SandboxCapabilities {
  const controllers = installation?.cgroups.controllers;
  const has = (name: string) => controllers === undefined || controllers.has(name);
  const limits: (keyof SandboxLimits)[] = [];
  if (has('cpu')) limits.push('cpus');
  if (has('memory')) limits.push('memoryBytes');
  if (has('pids')) limits.push('pids');
  if (installation?.storage.limitsDisk ?? options.storage !== 'directory') limits.push('diskBytes');
  const hasNetwork = installation === null ? options.fullNetwork != null && options.runtime !== 'runsc' : installation.network !== null;
  return {
    ...persistenceCapabilities(installation),
    ports: 'dynamic',
    network: hasNetwork ? ['none', 'full'] : ['none'],
    limits,
    update: 'live',
    sharedObjects: 'hardlink',
    isolation: options.runtime === 'runsc' ? 'user-kernel' : 'namespaces',
  };
}
