import { unlink, writeFile } from 'node:fs/promises';
import { guestHome, type SnapshotInfo } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { engineCall, findInEngine, settleInEngine } from './engine.ts';
import type { Installation } from './installation.ts';
import { callLibpod } from './libpod.ts';
import { labels, snapshotRepository } from './names.ts';
import { toOwnIds } from './own-ids.ts';
import type { SandboxRecord } from './record.ts';
import { removeContainer, removeUnusedCopy, type SandboxParts } from './sandbox.ts';

/**
 * A copy of a sandbox is one image: its container's own layer, committed, and above it the files of its home, which are
 * in a volume and so in no commit. A container made from it gets a new volume, which the engine fills from the image.
 * A snapshot is a copy with a name (a tag); without one it lives as long as a container or another copy needs it.
 */
export async function copySandbox(
  installation: Installation,
  parts: SandboxParts,
  record: SandboxRecord,
  snapshotId: string | null,
  signal: AbortSignal,
): Promise<string> {
  const { engine, id: installationId } = installation;
  const changes = Object.entries({
    [labels.copyInstallation]: installationId,
    [labels.copyOf]: parts.id,
    [labels.copyTemplate]: `${record.template.name}@${record.template.version}`,
    [labels.copyCreatedAt]: new Date().toISOString(),
  }).map(([name, value]) => `LABEL ${name}=${JSON.stringify(value)}`);
  // Podman takes no call without a body.
  const body = { Labels: {} };
  const commit = async (container: SandboxParts['container'], more: object = {}) =>
    ((await engineCall(() => container.commit({ _query: { pause: false, changes, container: container.id, ...more }, _body: body }))) as { Id: string }).Id;

  let layer: string | null = null;
  let helper: SandboxParts['container'] | null = null;
  try {
    await atRest(parts, async () => {
      signal.throwIfAborted();
      layer = await commit(parts.container);
      signal.throwIfAborted();
      helper = await engineCall(() =>
        engine.createContainer({
          Image: layer!,
          Entrypoint: ['-'],
          Labels: { [labels.installation]: installationId, [labels.helper]: 'copy' },
          HostConfig: { NetworkMode: 'none' },
        }),
      );
      // What is in it: of the directory itself each engine has another name in the archive.
      const files = await engineCall(() => parts.container.getArchive({ path: `${guestHome}/.` }));
      await engineCall(() => helper!.putArchive(toOwnIds(files, record.owner), { path: guestHome, abortSignal: signal }));
    });
    signal.throwIfAborted();
    const name = snapshotId === null ? {} : { repo: snapshotRepository(installationId), tag: snapshotId };
    return await commit(helper!, name);
  } finally {
    if (helper !== null) await removeContainer(helper);
    // Where the copy was made it stands upon this one, which then stays.
    if (layer !== null) await removeUnusedCopy(installation, layer);
  }
}

/** Runs `copy` while nothing in the sandbox moves; a running one goes on after, also after a crash of this process. */
async function atRest(parts: SandboxParts, copy: () => Promise<void>): Promise<void> {
  const { State: state } = await engineCall(() => parts.container.inspect());
  if (!state.Running || state.Paused) return copy();
  await writeFile(parts.paths.held, '');
  try {
    await engineCall(() => parts.container.pause());
    await copy();
  } finally {
    await release(parts);
  }
}

/** Lets one go on that was held. */
export async function release(parts: SandboxParts): Promise<void> {
  const found = await findInEngine(() => parts.container.inspect());
  if (found?.State.Paused === true) await engineCall(() => parts.container.unpause());
  await unlink(parts.paths.held).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

export interface Copy {
  image: string;
  sandboxId: string;
  template: { name: string; version: string };
  createdAt: string;
}

/** `null` when there is none. */
export async function findSnapshot(installation: Installation, snapshotId: string): Promise<Copy | null> {
  const reference = `${snapshotRepository(installation.id)}:${snapshotId}`;
  const found = await findInEngine(() => installation.engine.getImage(reference).inspect());
  return found === null ? null : readCopy(found.Id, found.Config.Labels);
}

export function readCopy(image: string, of: Readonly<Record<string, string>> | null | undefined): Copy {
  const [sandboxId, template, createdAt] = [of?.[labels.copyOf], of?.[labels.copyTemplate], of?.[labels.copyCreatedAt]];
  if (sandboxId === undefined || template === undefined || createdAt === undefined) {
    throw new BerthError('internal', `the image ${image} has a snapshot's name and not its labels`);
  }
  const [name, version] = template.split('@', 2) as [string, string];
  return { image, sandboxId, template: { name, version }, createdAt };
}

export async function describeSnapshot(installation: Installation, id: string, copy: Copy): Promise<SnapshotInfo> {
  // What lies below the two layers of a copy is of others.
  const layers = (await engineCall(() => installation.engine.getImage(copy.image).history())) as { Size: number }[];
  const sizeBytes = layers.slice(0, 2).reduce((sum, { Size }) => sum + Size, 0);
  const { sandboxId, createdAt } = copy;
  return { id, sandboxId, template: copy.template.name, memory: false, sizeBytes, createdAt };
}

export async function listSnapshots(installation: Installation): Promise<SnapshotInfo[]> {
  // Podman puts a registry's name before.
  const named = new RegExp(`(?:^|/)${snapshotRepository(installation.id)}:(.+)$`);
  const filters = { label: [`${labels.copyInstallation}=${installation.id}`] };
  const found = await engineCall(() => installation.engine.listImages({ filters }));
  const snapshots = found.flatMap(({ Id, Labels, RepoTags }) =>
    (RepoTags ?? [])
      .map((tag) => named.exec(tag)?.[1])
      .filter((id) => id !== undefined)
      .map((id) => ({ id, copy: readCopy(Id, Labels) })),
  );
  return Promise.all(snapshots.map(({ id, copy }) => describeSnapshot(installation, id, copy)));
}

/** Takes the name away; sandboxes that were made from it keep what they need. No-op when it is gone. */
export async function deleteSnapshot(installation: Installation, snapshotId: string): Promise<void> {
  const { engine, facts } = installation;
  const reference = `${snapshotRepository(installation.id)}:${snapshotId}`;
  if (facts.name === 'Docker') return settleInEngine(() => engine.getImage(reference).remove({ force: true }));
  // With force Podman takes the containers away too, and without it the name stays while there are any.
  const found = await findInEngine(() => engine.getImage(reference).inspect());
  const repository = found?.RepoTags.map((tag) => tag.split(`:${snapshotId}`)[0]!).find((each) => each.endsWith(snapshotRepository(installation.id)));
  if (found === null || repository === undefined) return;
  await callLibpod(engine, { method: 'POST', path: `images/${encodeURIComponent(found.Id)}/untag`, query: { repo: repository, tag: snapshotId } });
  await removeUnusedCopy(installation, found.Id);
}
