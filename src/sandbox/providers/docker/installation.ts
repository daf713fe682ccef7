import type Docker from 'dockerode';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { guestHome, guestUser } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { maxOpenFiles, maxProcesses } from '../../host/limits.ts';
import { installationId, lockInstallation } from '../../instance-lock.ts';
import { mustRun } from '../../run-command.ts';
import type { PlaceBundle } from '../../runner-layer/bundle.ts';
import { ensureRunnerLayer, type RunnerLayer } from '../../runner-layer/runner-layer.ts';
import { createTemplates } from '../../templates/template.ts';
import { writeAtomic } from '../../write-atomic.ts';
import { guestStatePath } from '../_shared/runner-process.ts';
import { createSeccompProfile } from '../_shared/seccomp.ts';
import type { ConnectEngine } from './engine.ts';
import { describeEngine, type EngineFacts } from './engine-facts.ts';
import { isolationOf } from './isolation.ts';
import { ownerMark, type Owner } from './owner.ts';
import { letThrough } from './passage.ts';
import { createImageTemplates, type ImageTemplates } from './templates.ts';

export interface InstallationOptions {
  dataDir: string;
  /** Shown at `guestAgentsPath`; filled by the agent installer while sandboxes run. */
  agentsDir: string;
  socketPath: string;
  runtime: string | null;
  images: Readonly<Record<string, string>>;
  placeBundle: PlaceBundle;
  connect: ConnectEngine;
}

/** One data directory on one engine, opened and locked by this process. */
export interface Installation {
  id: string;
  engine: Docker;
  facts: EngineFacts;
  runtime: string | null;
  sandboxesDir: string;
  agentsDir: string;
  templates: ImageTemplates;
  maxOpenFiles: number;
  maxProcesses: number | null;
  /** An archive of the directories that belong to the sandbox's user, to be unpacked at the root. */
  ownDirectories: Buffer;
  /** One of the file that `takeOwner` looks at, to be unpacked in the home. */
  ownerMark: Buffer;
  /** One of what keeps `/tmp` on the disk; `null` where that needs nothing. */
  tmp: Buffer | null;
  /** The filter on system calls: for Docker its text, for Podman a file with it. */
  seccomp: string;
  layer(): Promise<RunnerLayer>;
  release(): Promise<void>;
}

/** Takes the lock and makes sure that the engine can be used. Leaves nothing held when it throws. */
export async function openInstallation(options: InstallationOptions): Promise<Installation> {
  const { dataDir } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const id = await installationId(dataDir);
  const lock = await lockInstallation(dataDir, `${id}-docker`);
  try {
    const engine = await options.connect(options.socketPath);
    const facts = await describeEngine(engine, options.socketPath);
    if (facts.unusable !== null) throw new BerthError('unavailable', `the container engine cannot be used: ${facts.unusable}`);
    if (options.runtime !== null && !facts.runtimes.includes(options.runtime)) {
      const known = facts.runtimes.join(', ');
      throw new BerthError('invalid_request', `the engine has no runtime ${options.runtime}; it has ${known}`, {
        field: 'runtime',
      });
    }
    const root = join(dataDir, 'docker');
    const sandboxesDir = join(root, 'sandboxes');
    await mkdir(sandboxesDir, { recursive: true, mode: 0o700 });
    if (!existsSync(options.agentsDir)) await mkdir(options.agentsDir, { recursive: true, mode: 0o755 });
    if (facts.user !== null) {
      for (const directory of [root, sandboxesDir]) await chmod(directory, directoryMode(facts));
      await letThrough(facts.user, dataDir, [sandboxesDir, options.agentsDir]);
    }
    let layer: Promise<RunnerLayer> | null = null;
    return {
      id,
      engine,
      facts,
      runtime: options.runtime,
      sandboxesDir,
      agentsDir: options.agentsDir,
      templates: createImageTemplates({ engine, installation: id, templates: createTemplates(join(dataDir, 'templates')), named: options.images, scratchDir: root }),
      maxOpenFiles: await maxOpenFiles(),
      // Docker passes on its own. Podman of root raises it to the most that the kernel has unless it is told one, which not every root may.
      maxProcesses: facts.name === 'Podman' && facts.user === null ? await maxProcesses() : null,
      ownDirectories: await packOwnDirectories(root),
      ownerMark: await packOwnerMark(root),
      tmp: isolationOf(options.runtime) === 'user-kernel' ? await packTmp(root) : null,
      seccomp: await seccompOption(facts, root),
      layer() {
        layer ??= ensureRunnerLayer(join(dataDir, 'runner'), options.placeBundle)
          .then(async (built) => {
            if (facts.user !== null) await letThrough(facts.user, dataDir, [built.path]);
            return built;
          })
          .catch((error: unknown) => {
            layer = null;
            throw error;
          });
        return layer;
      },
      release: () => lock.release(),
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Of directories on the way to what is shared with a sandbox: others pass through where the engine is one of them. */
export function directoryMode({ user }: EngineFacts): number {
  return user === null ? 0o700 : 0o711;
}

async function seccompOption({ name, user }: EngineFacts, root: string): Promise<string> {
  const profile = JSON.stringify(createSeccompProfile());
  if (name === 'Docker') return profile;
  const path = join(root, 'seccomp.json');
  await writeAtomic(path, profile, user === null ? 0o600 : 0o644);
  return path;
}

/** Whatever image a sandbox starts from, its home and its journals belong to its user. */
function packOwnDirectories(root: string): Promise<Buffer> {
  const [home, state] = [guestHome.slice(1), guestStatePath.slice(1)];
  return pack(join(root, 'own'), guestUser, [home, state], async (staging) => {
    await mkdir(join(staging, home), { recursive: true, mode: 0o755 });
    await mkdir(join(staging, state), { recursive: true, mode: 0o700 });
  });
}

/** See `takeOwner`. */
function packOwnerMark(root: string): Promise<Buffer> {
  return pack(join(root, 'mark'), guestUser, [ownerMark], (staging) => writeFile(join(staging, ownerMark), ''));
}

/** gVisor covers a `/tmp` that is empty with one in memory, which no copy and no stop would keep. */
function packTmp(root: string): Promise<Buffer> {
  return pack(join(root, 'tmp'), { uid: 0, gid: 0 }, ['tmp/.kept'], async (staging) => {
    await mkdir(join(staging, 'tmp'));
    await writeFile(join(staging, 'tmp/.kept'), '');
  });
}

/** An archive of what belongs to one user. */
async function pack(staging: string, { uid, gid }: Owner, names: readonly string[], fill: (staging: string) => Promise<void>): Promise<Buffer> {
  const archive = `${staging}.tar`;
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging);
  await fill(staging);
  const owner = ['--numeric-owner', `--owner=${uid}`, `--group=${gid}`];
  // No padding: Podman, which reads to the archive's end alone, may take what follows for a failure.
  await mustRun('tar', ['--create', '--blocking-factor=1', '--no-recursion', ...owner, '--file', archive, '--directory', staging, ...names]);
  const packed = await readFile(archive);
  await rm(staging, { recursive: true });
  await rm(archive);
  return packed;
}

export async function sandboxIds(installation: Installation): Promise<string[]> {
  return (await readdir(installation.sandboxesDir)).toSorted();
}
