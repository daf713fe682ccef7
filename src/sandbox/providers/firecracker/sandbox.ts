import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxInfo, SandboxLimits, SandboxSpec, SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import type { Channels } from '../../microvm/channels.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import { shapeFor, type MachineShape } from '../../microvm/machine-shape.ts';
import { endMachine, liveProcess } from '../../microvm/processes.ts';
import { wokenUp } from '../../microvm/woken-up.ts';
import type { Template } from '../../templates/template.ts';
import { readRecord, writeRecord } from '../_shared/record-file.ts';
import { hostnameOf } from '../_shared/runner-process.ts';
import { copyDisk } from './disk.ts';
import { firstUid, uidCount, type Installation } from './installation.ts';
import { bootMachine, startMachine, type MachineStart } from './machine.ts';
import { machineSockets, sandboxPaths, type MachineSockets, type SandboxPaths } from './paths.ts';
import { sandboxRecord, type SandboxRecord } from './record.ts';

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
  const paths = sandboxPaths(installation, id);
  return { id, paths, sockets: machineSockets(paths.short) };
}

/** What a machine for these limits is made of, with the kernel and the runner of today. */
export async function shapeOf(installation: Installation, template: Template, limits: SandboxLimits, signal: AbortSignal): Promise<MachineShape> {
  return shapeFor({ ...installation, layer: await installation.layer() }, template, limits, signal);
}

/** `source`: a disk to begin with a copy of; `null` for an empty one. */
export async function makeSandbox(
  context: Context,
  spec: SandboxSpec,
  template: Template,
  source: string | null,
  signal: AbortSignal,
): Promise<SandboxRecord> {
  const { installation } = context;
  const parts = sandboxParts(installation, spec.id);
  try {
    await mkdir(parts.paths.directory, { mode: 0o700 });
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
      shape: await shapeOf(installation, template, spec.limits, signal),
    };
    await writeRecord(parts.paths.record, record);
    await copyDisk(source ?? (await installation.images.blank(spec.limits.diskBytes, signal)), parts.paths.disk, signal);
    await startSandbox(context, parts, record, signal);
    await unlink(parts.paths.creating);
    return record;
  } catch (error) {
    await removeSandbox(context, spec.id);
    throw error;
  }
}

async function freeUid(installation: Installation): Promise<number> {
  const records = await Promise.all((await sandboxIds(installation)).map((id) => recordOf(installation, id)));
  const taken = new Set(records.map((record) => record?.uid));
  for (;;) {
    const uid = firstUid + randomInt(uidCount);
    if (!taken.has(uid)) return uid;
  }
}

export function machineStart({ programs, jailsDir, agents }: Installation, parts: SandboxParts, record: SandboxRecord): MachineStart {
  const { id, paths } = parts;
  return { programs, jailsDir, id, uid: record.uid, paths, shape: record.shape, agentsImage: agents.path };
}

/** Boots a sandbox from its disk and tells the guest who it is. Nothing of it may run. */
export async function startSandbox(context: Context, parts: SandboxParts, record: SandboxRecord, signal: AbortSignal): Promise<void> {
  const { installation, channels } = context;
  const machine = await startMachine(machineStart(installation, parts, record), signal);
  await bootMachine(machine, record.shape);
  const { control, link } = parts.sockets;
  await wokenUp(installation.control, control, signal);
  await installation.control.tell(control, ['begin', hostnameOf(record.id), String(record.limits.pids)], signal);
  const channel = await channels.of(record.id, link, signal);
  await channel.identify({ token: record.runnerToken, env: record.env }, signal);
  await waitForHealth(() => channel.dial(signal), signal);
}

/** Ends the machine and removes its jail. Idempotent. */
export async function haltSandbox({ installation, channels }: Context, id: string, uid: number | null): Promise<void> {
  const { paths, sockets } = sandboxParts(installation, id);
  installation.control.drop(sockets.control);
  await channels.drop(id);
  await endMachine(paths.process, uid);
  await rm(paths.process, { force: true });
  await rm(paths.paused, { force: true });
  await rm(paths.short, { force: true });
  await rm(paths.jail, { recursive: true, force: true });
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
  return `firecracker:berth-${installation.id}-${id}`;
}

async function isOutdated(installation: Installation, record: SandboxRecord): Promise<boolean> {
  if (record.runnerVersion !== (await installation.layer()).version) return true;
  const current = await installation.templates.current(record.template.name).catch((error: unknown) => {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  });
  return current !== null && current.version !== record.template.version;
}
