import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import type { ForkSource, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { minFreeBytes, requireRoom } from '../_shared/require-room.ts';
import { noCopies } from '../../storage/disk-copies.ts';
import type { Installation } from './installation.ts';
import { networkOf } from './network.ts';
import { diskPaths, sandboxPaths } from './paths.ts';
import { readRecord, writeRecord, type SandboxRecord } from './record.ts';
import { allDone, bootSandbox, removeSandbox, sandboxParts } from './sandbox.ts';
import { copyObjects, snapshotSource } from './snapshots.ts';
import { atRest } from './stillness.ts';

/** In the `creating` file of a sandbox that is being forked. Nobody knows such a half-made one by its id, so it is removed when the installation is opened. */
const forkMark = 'fork';

/** Makes all or none. The caller holds the locks of the source and of the new ids, and has checked the specs. */
export async function forkSandboxes(
  installation: Installation,
  source: ForkSource,
  specs: readonly SandboxSpec[],
  signal: AbortSignal,
): Promise<void> {
  const { copies, storage } = installation;
  if (copies === null) throw noCopies();
  const origin = await originOf(installation, source, signal);
  const wrong = specs.find((spec) => spec.template !== origin.record.template.name);
  if (wrong !== undefined) {
    throw new BerthError('invalid_request', `a fork has its source's template, "${origin.record.template.name}"`, {
      field: 'template',
    });
  }
  requireRoom(await storage.makeRoom(minFreeBytes));
  const { version } = await installation.layer();
  const template = await installation.templates.version(origin.record.template.name, origin.record.template.version);
  const made: string[] = [];
  try {
    for (const spec of specs) {
      const paths = sandboxPaths(installation.sandboxesDir, spec.id);
      if (existsSync(storage.diskPath(spec.id))) throw new BerthError('conflict', `sandbox ${spec.id} exists`);
      await makeDirectory(paths.directory, spec.id);
      made.push(spec.id);
      await writeFile(paths.creating, forkMark);
    }
    const [first, ...rest] = specs.map(({ id }) => storage.diskPath(id));
    if (first === undefined) return;
    // The source stands still for one copy, however many are asked for.
    await origin.atRest(() => copies.copy(origin.disk, first, { readOnly: false }));
    for (const disk of rest) await copies.copy(first, disk, { readOnly: false });
    await allDone(
      specs.map(async (spec) => {
        const parts = sandboxParts(installation, spec.id);
        const record = {
          ...recordOf(spec, origin.record),
          ...(await networkOf(installation, spec.network)),
          env: { ...template.env, ...spec.env },
          runnerVersion: version,
        };
        await allDone([
          writeRecord(parts.paths.record, record),
          freshen(diskPaths(storage.diskPath(spec.id))),
          copyObjects(origin.objects, storage.objectsPath(spec.id)),
          storage.limitsDisk ? storage.limitDisk(spec.id, spec.limits.diskBytes, signal) : Promise.resolve(),
        ]);
        await bootSandbox(installation, parts, record, template, signal);
      }),
    );
    for (const id of made) await unlink(sandboxPaths(installation.sandboxesDir, id).creating);
  } catch (error) {
    await allDone(made.map((id) => removeSandbox(installation, id)));
    throw error;
  }
}

/** Removes forks that a crash left half made. */
export async function recoverForks(installation: Installation): Promise<void> {
  for (const id of await readdir(installation.sandboxesDir)) {
    const { creating } = sandboxPaths(installation.sandboxesDir, id);
    const mark = await readFile(creating, 'utf8').catch(() => '');
    if (mark === forkMark) await removeSandbox(installation, id);
  }
}

interface Origin {
  disk: string;
  objects: string;
  record: SandboxRecord;
  atRest(copy: () => Promise<void>): Promise<void>;
}

async function originOf(installation: Installation, source: ForkSource, signal: AbortSignal): Promise<Origin> {
  if ('snapshotId' in source) {
    return { ...(await snapshotSource(installation, source.snapshotId)), atRest: (copy) => copy() };
  }
  const parts = sandboxParts(installation, source.sandboxId);
  const record = await readRecord(parts.paths.record);
  if (record === null) throw new BerthError('conflict', `sandbox ${source.sandboxId} is broken`);
  return {
    disk: installation.storage.diskPath(parts.id),
    objects: installation.storage.objectsPath(parts.id),
    record,
    atRest: (copy) => atRest(parts, signal, copy),
  };
}

function recordOf(spec: SandboxSpec, source: SandboxRecord): Omit<SandboxRecord, 'network'> {
  return {
    id: spec.id,
    createdAt: new Date().toISOString(),
    template: source.template,
    limits: { ...spec.limits },
    labels: { ...spec.labels },
    env: { ...spec.env },
    runnerToken: spec.runnerToken,
  };
}

/** What belongs to one life of one sandbox, and not to its files. */
async function freshen(disk: ReturnType<typeof diskPaths>): Promise<void> {
  await rm(disk.work, { recursive: true, force: true });
  await mkdir(disk.work, { mode: 0o755 });
  await rm(disk.log, { force: true });
  await rm(disk.run, { recursive: true, force: true });
}

async function makeDirectory(path: string, id: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new BerthError('conflict', `sandbox ${id} exists`, { cause });
  }
}
