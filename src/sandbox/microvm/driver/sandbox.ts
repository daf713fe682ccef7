import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxInfo, SandboxSpec, SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { readRecord, writeRecord } from '../../providers/_shared/record-file.ts';
import { hostnameOf } from '../../providers/_shared/runner-process.ts';
import type { Template } from '../../templates/template.ts';
import type { Channels } from '../channels.ts';
import { waitForHealth } from '../guest-health.ts';
import { shapeFor, type MachineShape } from '../machine-shape.ts';
import { endMachine, liveProcess } from '../processes.ts';
import { wokenUp } from '../woken-up.ts';
import type { Installation } from './installation.ts';
import type { MachineKind, Machines, Sandbox, SandboxParts } from './machines.ts';
import { cardOf, networkOf } from './network.ts';
import { sandboxPaths, type SandboxPaths } from './paths.ts';
import type { SandboxRecord } from './record.ts';

export interface Context<K extends MachineKind> {
  installation: Installation;
  machines: Machines<K>;
  channels: Channels;
}

export function sandboxParts<K extends MachineKind>({ installation, machines }: Context<K>, id: string): SandboxParts {
  return { id, paths: sandboxPaths(installation.sandboxesDir, id), lines: machines.lines(id) };
}

/** What a machine for these limits is made of, with the kernel and the runner of today. */
export async function shapeOf(
  installation: Installation,
  template: Template,
  means: Pick<SandboxSpec, 'limits' | 'network'>,
  signal: AbortSignal,
): Promise<MachineShape> {
  return shapeFor({ ...installation, layer: await installation.layer() }, template, means, signal);
}

/** `origin`: what its disk begins with; `null` for an empty one. A failure leaves nothing. */
export async function makeSandbox<K extends MachineKind>(
  context: Context<K>,
  spec: SandboxSpec,
  template: Template,
  origin: K['origin'] | null,
  signal: AbortSignal,
): Promise<K['record']> {
  const { installation, machines } = context;
  const parts = sandboxParts(context, spec.id);
  try {
    await mkdir(parts.paths.directory, { mode: machines.directoryMode });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new BerthError('conflict', `sandbox ${spec.id} exists`, { cause });
  }
  try {
    await writeFile(parts.paths.creating, '');
    const base: SandboxRecord = {
      id: spec.id,
      createdAt: new Date().toISOString(),
      template: { name: template.name, version: template.version },
      limits: { ...spec.limits },
      labels: { ...spec.labels },
      env: { ...template.env, ...spec.env },
      runnerToken: spec.runnerToken,
      runnerVersion: (await installation.layer()).version,
      uid: await freeUid(context),
      shape: await shapeOf(installation, template, spec, signal),
      ...(await networkOf(installation, spec.network)),
    };
    const record = machines.disks.record(base, origin);
    await writeRecord(parts.paths.record, record);
    const sandbox = { ...parts, record };
    await machines.disks.make(sandbox, origin, signal);
    await startSandbox(context, sandbox, signal);
    await unlink(parts.paths.creating);
    return record;
  } catch (error) {
    await removeSandbox(context, spec.id);
    throw error;
  }
}

async function freeUid<K extends MachineKind>(context: Context<K>): Promise<number> {
  const records = await Promise.all((await sandboxIds(context.installation)).map((id) => recordOf(context, id)));
  const taken = new Set(records.map((record) => record?.uid));
  const { first, count } = context.machines.uids;
  for (;;) {
    const uid = first + randomInt(count);
    if (!taken.has(uid)) return uid;
  }
}

/** Starts a sandbox from its disk and tells the guest who it is. Nothing of it may run. */
export async function startSandbox<K extends MachineKind>(context: Context<K>, sandbox: Sandbox<K>, signal: AbortSignal): Promise<void> {
  const { installation, machines, channels } = context;
  const { record, lines } = sandbox;
  await machines.start(sandbox, signal);
  await wokenUp(installation.control, lines.control, signal);
  await installation.control.tell(lines.control, ['begin', hostnameOf(record.id), String(record.limits.pids)], signal);
  const card = cardOf(installation, record.id, record);
  if (card !== null) await installation.control.tell(lines.control, ['network', ...card.addresses], signal);
  const channel = await channels.of(record.id, lines.link, signal);
  await channel.identify({ token: record.runnerToken, env: record.env }, signal);
  await waitForHealth(() => channel.dial(signal), signal);
}

/** Ends the machine. Idempotent. */
export async function haltSandbox<K extends MachineKind>(context: Context<K>, id: string, uid: number | null): Promise<void> {
  const { paths, lines } = sandboxParts(context, id);
  context.installation.control.drop(lines.control);
  await context.channels.drop(id);
  await endMachine(paths.process, uid);
  await rm(paths.process, { force: true });
  await rm(paths.paused, { force: true });
  await context.machines.clear(id);
  await context.installation.network?.detach(id);
}

/** Removes whatever there is of a sandbox; the record goes last. Idempotent. */
export async function removeSandbox<K extends MachineKind>(context: Context<K>, id: string): Promise<void> {
  const { paths } = sandboxParts(context, id);
  const record = await recordOf(context, id);
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

/** `null` when there is none, or none that can be read: of that sandbox nothing but its end can be asked for. */
export function recordOf<K extends MachineKind>({ installation, machines }: Context<K>, id: string): Promise<K['record'] | null> {
  return readRecord(sandboxPaths(installation.sandboxesDir, id).record, machines.recordSchema);
}

/** `null` when there is nothing of it. */
export async function inspectSandbox<K extends MachineKind>(context: Context<K>, id: string): Promise<SandboxInfo | null> {
  const { paths } = sandboxParts(context, id);
  if (!existsSync(paths.directory)) return null;
  const { installation } = context;
  const record = await recordOf(context, id);
  if (record === null) {
    const limits = { cpus: 0, memoryBytes: 0, pids: 0, diskBytes: 0 };
    const createdAt = new Date(0).toISOString();
    return { id, status: 'broken', template: '', labels: {}, limits, reference: referenceOf(installation, id), createdAt };
  }
  const status = existsSync(paths.creating) ? 'broken' : await statusOf(paths);
  const info = describeSandbox(installation, record, status);
  return status === 'running' && (await isOutdated(installation, record)) ? { ...info, outdated: true } : info;
}

/** Of one that is whole. */
export async function statusOf(paths: SandboxPaths): Promise<SandboxStatus> {
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
    ...(record.network === 'none' ? {} : { network: record.network }),
    reference: referenceOf(installation, record.id),
    createdAt: record.createdAt,
  };
}

function referenceOf(installation: Installation, id: string): string {
  return `${installation.name}:berth-${installation.id}-${id}`;
}

async function isOutdated(installation: Installation, record: SandboxRecord): Promise<boolean> {
  if (record.runnerVersion !== (await installation.layer()).version) return true;
  const current = await installation.templates.current(record.template.name).catch((error: unknown) => {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  });
  return current !== null && current.version !== record.template.version;
}
