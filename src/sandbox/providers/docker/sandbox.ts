import type Docker from 'dockerode';
import { existsSync } from 'node:fs';
import { mkdir, rm, unlink, writeFile } from 'node:fs/promises';
import { guestHome, guestUser, type SandboxInfo, type SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import type { TemplateBind } from '../../templates/template.ts';
import { freeBytesAt } from '../../free-bytes.ts';
import { requireRoom } from '../_shared/require-room.ts';
import { prepareRunDirectory } from '../_shared/run-directory.ts';
import { waitForRunner } from '../_shared/runner-socket.ts';
import { createContainerConfig } from './container-config.ts';
import { engineCall, findInEngine, settleInEngine } from './engine.ts';
import { directoryMode, type Installation } from './installation.ts';
import { restoreLimits } from './limits.ts';
import { containerName, labels } from './names.ts';
import { takeOwner } from './owner.ts';
import { readRecord, sandboxPaths, writeRecord, type SandboxPaths, type SandboxRecord } from './record.ts';

/**
 * One sandbox's parts, in the order in which they are made: directory with record, volume of the home, container. They
 * are taken away in the reverse order, each step a no-op when done, so that `removeSandbox` ends whatever a crash left.
 */
export interface SandboxParts {
  id: string;
  /** Of the container and of the volume. */
  name: string;
  paths: SandboxPaths;
  container: Docker.Container;
}

export function sandboxParts(installation: Installation, id: string): SandboxParts {
  const name = containerName(installation.id, id);
  return {
    id,
    name,
    paths: sandboxPaths(installation.sandboxesDir, id),
    container: installation.engine.getContainer(name),
  };
}

/** Throws `resource_exhausted`: an engine only says that by text. */
export async function requireSpace({ facts }: Installation): Promise<void> {
  requireRoom(await freeBytesAt(facts.rootDir), 'the disk of the container engine');
}

/** Makes and starts one from its image; resolves when the runner answers. Leaves nothing when it throws. */
export async function makeSandbox(
  installation: Installation,
  asked: Omit<SandboxRecord, 'owner'>,
  binds: readonly TemplateBind[],
  signal: AbortSignal,
): Promise<void> {
  const record: SandboxRecord = { ...asked, owner: { uid: guestUser.uid, gid: guestUser.gid } };
  const parts = sandboxParts(installation, record.id);
  try {
    await mkdir(parts.paths.directory, { mode: directoryMode(installation.facts) });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new BerthError('conflict', `sandbox ${record.id} exists`, { cause });
  }
  try {
    await writeFile(parts.paths.creating, '');
    await writeRecord(parts.paths.record, record);
    // A bind mount's source must be there when the container is made.
    await mkdir(parts.paths.run, { mode: 0o700 });
    const layer = await installation.layer();
    const { engine } = installation;
    // A call of the engine is never cut off: nobody could say then what it has made.
    signal.throwIfAborted();
    const own = { [labels.installation]: installation.id, [labels.sandbox]: record.id };
    const volume = await engineCall(() => engine.createVolume({ Name: parts.name, Labels: own }));
    signal.throwIfAborted();
    const config = createContainerConfig({
      installation: installation.id,
      record,
      binds,
      layerPath: layer.path,
      agentsDir: installation.agentsDir,
      runPath: parts.paths.run,
      runtime: installation.runtime,
      maxOpenFiles: installation.maxOpenFiles,
      maxProcesses: installation.maxProcesses,
      swapCounted: installation.facts.swapCounted,
      seccomp: installation.seccomp,
    });
    await engineCall(() => engine.createContainer(config));
    signal.throwIfAborted();
    await engineCall(() => parts.container.putArchive(installation.ownDirectories, { path: '/' }));
    const { tmp } = installation;
    if (tmp !== null) await engineCall(() => parts.container.putArchive(tmp, { path: '/' }));
    // Not with the directories: Podman unpacks into a volume only where that is named.
    await engineCall(() => parts.container.putArchive(installation.ownerMark, { path: guestHome }));
    const { Mountpoint: home } = await engineCall(() => volume.inspect());
    const owner = await takeOwner(home);
    await writeRecord(parts.paths.record, { ...record, owner });
    prepareRunDirectory(parts.paths.run, record.runnerToken, owner);
    signal.throwIfAborted();
    await engineCall(() => parts.container.start());
    await runnerAnswers(parts, signal);
    await unlink(parts.paths.creating);
  } catch (error) {
    await removeSandbox(installation, record.id);
    throw error;
  }
}

async function runnerAnswers(parts: SandboxParts, signal: AbortSignal): Promise<void> {
  const alive = async () => (await engineCall(() => parts.container.inspect())).State.Running;
  try {
    await waitForRunner(parts.paths.run, alive, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof BerthError)) throw error;
    throw new BerthError(error.code, error.message, {
      cause: error,
      context: { ...error.context, log: await logOf(parts.container) },
    });
  }
}

/** Starts one that has run before. */
export async function rebootSandbox(
  installation: Installation,
  parts: SandboxParts,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  prepareRunDirectory(parts.paths.run, record.runnerToken, record.owner);
  await engineCall(() => parts.container.start());
  await restoreLimits(installation, parts.container, record.limits);
  await runnerAnswers(parts, signal);
}

/** What it said last; the stream's frames have eight bytes of header each. */
async function logOf(container: Docker.Container): Promise<string> {
  try {
    const log = await container.logs({ stdout: true, stderr: true, tail: 20 });
    return log.toString('utf8').replaceAll(/[^\t\n -~]/g, '').slice(-2000);
  } catch {
    return '';
  }
}

/** Ends the processes. With grace, the runner may end its own first. No-op when it does not run. */
export async function haltSandbox(parts: SandboxParts, graceMs: number): Promise<void> {
  const { State: state } = await engineCall(() => parts.container.inspect());
  if (!state.Running) return;
  // A paused one runs again, so that the runner can end in order.
  if (state.Paused) await engineCall(() => parts.container.unpause());
  await settleInEngine(() => parts.container.stop({ t: Math.ceil(graceMs / 1000) }));
}

/** Removes whatever there is of a sandbox. Idempotent. */
export async function removeSandbox(installation: Installation, id: string): Promise<void> {
  const parts = sandboxParts(installation, id);
  const record = await readRecord(parts.paths.record);
  // One that was held for a copy when Berth was killed: not every runtime can end what is paused.
  if (existsSync(parts.paths.held)) await settleInEngine(() => parts.container.unpause()).catch(() => {});
  await removeContainer(parts.container);
  await settleInEngine(() => installation.engine.getVolume(parts.name).remove({ force: true }));
  if (record !== null) await removeUnusedCopy(installation, record.image);
  await rm(parts.paths.directory, { recursive: true, force: true });
}

/** Also one that somebody removes at this moment. */
export async function removeContainer(container: Docker.Container): Promise<void> {
  for (;;) {
    try {
      return await settleInEngine(() => container.remove({ force: true, v: true }));
    } catch (error) {
      if (!(error instanceof BerthError) || error.code !== 'conflict') throw error;
      if ((await findInEngine(() => container.inspect())) === null) return;
      await settleInEngine(() => container.wait({ condition: 'removed' }));
    }
  }
}

/** Removes a copy of a sandbox that has no name any more, unless another container or copy still needs it. */
export async function removeUnusedCopy({ engine, id }: Installation, image: string): Promise<void> {
  const found = await findInEngine(() => engine.getImage(image).inspect());
  if (found === null || found.Config.Labels?.[labels.copyInstallation] !== id || found.RepoTags.length > 0) return;
  try {
    await settleInEngine(() => engine.getImage(image).remove());
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== 'conflict') throw error;
  }
}

/** `null` when there is nothing of it. */
export async function inspectSandbox(installation: Installation, id: string): Promise<SandboxInfo | null> {
  const parts = sandboxParts(installation, id);
  const found = await findInEngine(() => parts.container.inspect());
  if (found === null && !existsSync(parts.paths.directory)) return null;
  return describeSandbox(installation, id, found?.State.Status ?? null);
}

/** What is known of one whose container has this state; `null`: it has none. */
export async function describeSandbox(installation: Installation, id: string, state: string | null): Promise<SandboxInfo> {
  const { name, paths } = sandboxParts(installation, id);
  const record = await readRecord(paths.record);
  if (record === null) {
    const limits = { cpus: 0, memoryBytes: 0, pids: 0, diskBytes: 0 };
    const createdAt = new Date(0).toISOString();
    return { id, status: 'broken', template: '', labels: {}, limits, reference: name, createdAt };
  }
  const info = {
    id,
    status: existsSync(paths.creating) ? ('broken' as const) : statusOf(state, paths),
    template: record.template.name,
    labels: record.labels,
    limits: record.limits,
    reference: name,
    createdAt: record.createdAt,
  };
  return info.status === 'running' && (await isOutdated(installation, record)) ? { ...info, outdated: true } : info;
}

function statusOf(state: string | null, paths: SandboxPaths): SandboxStatus {
  switch (state) {
    case 'running':
      return 'running';
    case 'paused':
      // One that is held for a moment, for a copy, goes on by itself.
      return existsSync(paths.held) ? 'running' : 'paused';
    case 'created':
    case 'exited':
      return 'stopped';
    default:
      return 'broken';
  }
}

/** Whether a new one would have another runner or another version of its template. */
async function isOutdated(installation: Installation, record: SandboxRecord): Promise<boolean> {
  if (record.runnerVersion !== (await installation.layer()).version) return true;
  try {
    return (await installation.templates.current(record.template.name)).version !== record.template.version;
  } catch (error) {
    // A template that is gone has no newer version.
    if (error instanceof BerthError && error.code === 'not_found') return false;
    throw error;
  }
}
