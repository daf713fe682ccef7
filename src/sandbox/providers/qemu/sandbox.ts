import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxInfo, SandboxLimits, SandboxSpec, SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import type { Template } from '../../templates/template.ts';
import { hostnameOf } from '../_shared/runner-process.ts';
import type { Channels } from './channels.ts';
import { createDisk, firstDiskName, type Base } from './disk.ts';
import { firstUid, uidCount, type Installation } from './installation.ts';
import { machineUp, seenByMachine, startMachine } from './machine.ts';
import { memoryLoaded } from './memory-transfer.ts';
import { machineSockets, sandboxPaths, type MachineSockets, type SandboxPaths } from './paths.ts';
import { killAllOf, liveProcess } from './processes.ts';
import { openQmp } from './qmp.ts';
import { readRecord, sandboxRecord, writeRecord, type MachineShape, type SandboxRecord } from './record.ts';

/** One sandbox's parts: its directory with the record and the disk, the machine's process and its sockets. */
export interface SandboxParts {
  id: string;
  paths: SandboxPaths;
  sockets: MachineSockets;
}

export interface Context {
  installation: Installation;
  channels: Channels;
}

export function sandboxParts(installation: Installation, id: string): SandboxParts {
  const paths = sandboxPaths(installation.sandboxesDir, installation.runDir, id);
  return { id, paths, sockets: machineSockets(paths.run) };
}

const mebibyte = 1024 ** 2;

/** What a machine for these limits is made of; builds the images that are not there. */
export async function shapeFor(
  installation: Installation,
  template: Template,
  limits: SandboxLimits,
  signal: AbortSignal,
): Promise<MachineShape> {
  const layer = await installation.layer();
  const [rootImage, runnerImage] = [
    await installation.images.root(template, signal),
    await installation.images.runner(layer, signal),
  ];
  return {
    kernel: installation.kernel.kernel,
    initramfs: installation.kernel.initramfs,
    rootImage,
    runnerImage,
    vcpus: limits.cpus,
    memoryMib: Math.floor(limits.memoryBytes / mebibyte),
    diskBytes: limits.diskBytes,
  };
}

/** What a new disk is on top of. */
export interface DiskSource {
  layers: readonly string[];
}

export async function makeSandbox(
  context: Context,
  spec: SandboxSpec,
  template: Template,
  source: DiskSource,
  signal: AbortSignal,
): Promise<SandboxRecord> {
  const { installation } = context;
  const parts = sandboxParts(installation, spec.id);
  try {
    await mkdir(parts.paths.directory, { mode: 0o711 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new BerthError('conflict', `sandbox ${spec.id} exists`, { cause });
  }
  try {
    await writeFile(parts.paths.creating, '');
    const record: SandboxRecord = {
      id: spec.id,
      createdAt: new Date().toISOString(),
      template: { name: template.name, version: template.version },
      limits: { ...spec.limits },
      labels: { ...spec.labels },
      env: { ...template.env, ...spec.env },
      runnerToken: spec.runnerToken,
      runnerVersion: (await installation.layer()).version,
      uid: await freeUid(installation),
      disk: firstDiskName,
      layers: [...source.layers],
      shape: await shapeFor(installation, template, spec.limits, signal),
    };
    await writeRecord(parts.paths.record, record);
    await createDisk(join(parts.paths.directory, record.disk), await baseOf(installation, record, signal), record.limits.diskBytes, record.uid);
    await startSandbox(context, parts, record, signal);
    await unlink(parts.paths.creating);
    return record;
  } catch (error) {
    await removeSandbox(context, spec.id);
    throw error;
  }
}

async function baseOf(installation: Installation, record: SandboxRecord, signal: AbortSignal): Promise<Base> {
  const [top] = record.layers;
  if (top !== undefined) return { file: seenByMachine(installation.files, installation.layers.path(top)), format: 'qcow2' };
  const blank = await installation.images.blank(record.limits.diskBytes, signal);
  return { file: seenByMachine(installation.files, blank), format: 'raw' };
}

async function freeUid(installation: Installation): Promise<number> {
  const records = await Promise.all((await sandboxIds(installation)).map((id) => recordOf(installation, id)));
  const taken = new Set(records.map((record) => record?.uid));
  for (;;) {
    const uid = firstUid + randomInt(uidCount);
    if (!taken.has(uid)) return uid;
  }
}

/** Starts a sandbox from its disk: a machine from its seed, which is then told who it is. Nothing of it may run. */
export async function startSandbox(
  context: Context,
  parts: SandboxParts,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<void> {
  const seed = await context.installation.seeds.ensure(record.shape, signal);
  await loadMachine(context.installation, parts, record, seed, signal, () => Promise.resolve());
  const { control, link } = parts.sockets;
  await wokenUp(context.installation, control, signal);
  await context.installation.control.tell(control, ['begin', hostnameOf(record.id), String(record.limits.pids)], signal);
  const channel = await context.channels.of(record.id, link, signal);
  await channel.identify({ token: record.runnerToken, env: record.env }, signal);
  await waitForHealth(() => channel.dial(signal), signal);
}

/** Starts a machine that goes on from a memory. `committed` is called when it is taken in and before anything runs. */
export async function loadMachine(
  installation: Installation,
  parts: SandboxParts,
  record: SandboxRecord,
  memory: string,
  signal: AbortSignal,
  committed: () => Promise<void>,
): Promise<void> {
  const { paths, sockets } = parts;
  signal.throwIfAborted();
  await startMachine({
    files: installation.files,
    name: `berth-${installation.id}-${parts.id}`,
    qemu: installation.qemu,
    accelerator: installation.accelerator,
    shape: record.shape,
    uid: record.uid,
    disk: join(paths.directory, record.disk),
    agentsImage: installation.agents.path,
    run: paths.run,
    log: paths.log,
    processFile: paths.process,
    memory,
  });
  await machineUp(paths.run, paths.process, paths.log, signal);
  const qmp = await openQmp(sockets.monitor, signal);
  try {
    await memoryLoaded(qmp, signal);
    await committed();
    await qmp.run('cont');
  } finally {
    qmp.close();
  }
}

const seedBytes = 64;

/** Tells a guest that was woken the time of day, and gives it randomness that no other has. Before anything of the sandbox goes on with either. */
export async function wokenUp(installation: Installation, control: string, signal: AbortSignal): Promise<void> {
  const seconds = String(Math.round(Date.now() / 1000));
  await installation.control.tell(control, ['woken', seconds, randomBytes(seedBytes).toString('hex')], signal);
}

/** Ends the machine. Idempotent. */
export async function haltSandbox({ installation, channels }: Context, id: string, uid: number | null): Promise<void> {
  const { paths, sockets } = sandboxParts(installation, id);
  installation.control.drop(sockets.control);
  await channels.drop(id);
  if (uid !== null) await killAllOf(uid);
  await rm(paths.process, { force: true });
  await rm(paths.paused, { force: true });
  await rm(paths.run, { recursive: true, force: true });
}

/** Removes whatever there is of a sandbox; the record goes last. Idempotent. */
export async function removeSandbox(context: Context, id: string): Promise<void> {
  const { installation } = context;
  const { paths } = sandboxParts(installation, id);
  const record = await recordOf(installation, id);
  await haltSandbox(context, id, record?.uid ?? null);
  const names = existsSync(paths.directory) ? await readdir(paths.directory) : [];
  for (const name of names.filter((each) => each !== 'sandbox.json')) {
    await rm(join(paths.directory, name), { recursive: true, force: true });
  }
  await rm(paths.record, { force: true });
  await rmdir(paths.directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

export async function sandboxIds(installation: Installation): Promise<string[]> {
  return (await readdir(installation.sandboxesDir)).toSorted();
}

export function recordOf(installation: Installation, id: string): Promise<SandboxRecord | null> {
  return readRecord(sandboxParts(installation, id).paths.record, sandboxRecord);
}

/** `null` when there is nothing of it. */
export async function inspectSandbox(installation: Installation, id: string): Promise<SandboxInfo | null> {
  const { paths } = sandboxParts(installation, id);
  if (!existsSync(paths.directory)) return null;
  const record = await recordOf(installation, id);
  if (record === null) {
    const limits = { cpus: 0, memoryBytes: 0, pids: 0, diskBytes: 0 };
    const createdAt = new Date(0).toISOString();
    return { id, status: 'broken', template: '', labels: {}, limits, reference: referenceOf(installation, id), createdAt };
  }
  const status = existsSync(paths.creating) ? 'broken' : await statusOf(paths);
  const info = describeSandbox(installation, record, status);
  return status === 'running' && (await isOutdated(installation, record)) ? { ...info, outdated: true } : info;
}

async function statusOf(paths: SandboxPaths): Promise<SandboxStatus> {
  if (existsSync(paths.memory) || existsSync(`${paths.memory}.waking`)) return 'hibernated';
  if ((await liveProcess(paths.process)) === null) return 'stopped';
  return existsSync(paths.paused) ? 'paused' : 'running';
}

export function describeSandbox(installation: Installation, record: SandboxRecord, status: SandboxStatus): SandboxInfo {
  return {
    id: record.id,
    status,
    template: record.template.name,
    labels: record.labels,
    limits: record.limits,
    reference: referenceOf(installation, record.id),
    createdAt: record.createdAt,
  };
}

function referenceOf(installation: Installation, id: string): string {
  return `qemu:berth-${installation.id}-${id}`;
}

async function isOutdated(installation: Installation, record: SandboxRecord): Promise<boolean> {
  if (record.runnerVersion !== (await installation.layer()).version) return true;
  const current = await installation.templates.current(record.template.name).catch((error: unknown) => {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  });
  return current !== null && current.version !== record.template.version;
}
