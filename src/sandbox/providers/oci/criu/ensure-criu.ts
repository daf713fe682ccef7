import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../../protocol/errors.ts';
import { findProgram } from '../../../find-program.ts';
import { runCommand } from '../../../run-command.ts';
import { canFetchPackages, unpackDebianPackage } from './debian-packages.ts';

/**
 * A CRIU that works on this kernel, as the program to give to `runc --criu`. It is a script that
 * opens `BERTH_CRIU_LOG` as descriptor 9 (what the restored processes print to) and runs CRIU as `BERTH_CRIU_AS` says.
 */
export interface Criu {
  wrapper: string;
  version: string;
  source: 'system' | 'fetched';
}

/** 4.2 is the first that knows the socket options of Linux 6.16 (checkpoint-restore/criu#2705). */
const minVersion = [4, 2] as const;
const fetchDeadlineMs = 120_000;

/** What is there already, on the system's path or fetched before. `null` when there is nothing that works. Fetches nothing. */
export async function findCriu(dataDir: string): Promise<Criu | null> {
  const directory = join(dataDir, 'criu');
  const fetched = existsSync(directory) ? (await readdir(directory)).filter((name) => /^\d/.test(name)).toSorted().at(-1) : undefined;
  if (fetched !== undefined) return { wrapper: join(directory, fetched, 'criu'), version: fetched, source: 'fetched' };
  const system = await findProgram('criu');
  if (system === null) return null;
  const version = await checkedVersion(system);
  if (version === null) return null;
  const wrapper = join(directory, 'system', 'criu');
  await mkdir(join(directory, 'system'), { recursive: true, mode: 0o755 });
  await writeWrapper(wrapper, system);
  return { wrapper, version, source: 'system' };
}

/** `findCriu`, else fetched from Debian's packages (10 MB). Throws `unavailable` with the reason. */
export async function ensureCriu(dataDir: string): Promise<Criu> {
  const found = await findCriu(dataDir);
  if (found !== null) return found;
  if (process.arch !== 'x64' && process.arch !== 'arm64') throw new BerthError('unavailable', `there is no CRIU for ${process.arch}`);
  if (!canFetchPackages()) {
    throw new BerthError('unavailable', 'no CRIU 4.2 is installed, and none can be fetched: this is not Debian or Ubuntu with its archive keyring');
  }
  const directory = join(dataDir, 'criu');
  const staging = join(directory, `.new-${process.pid}`);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true, mode: 0o755 });
  try {
    const signal = AbortSignal.timeout(fetchDeadlineMs);
    await unpackDebianPackage('criu', join(staging, 'apt'), join(staging, 'root'), signal);
    await rm(join(staging, 'apt'), { recursive: true });
    const wrapper = join(staging, 'criu');
    await writeWrapper(wrapper, null);
    const version = await checkedVersion(wrapper);
    if (version === null) throw new BerthError('unavailable', "CRIU was fetched, and its own check fails on this machine's kernel");
    const path = join(directory, version);
    await rm(path, { recursive: true, force: true });
    await rename(staging, path);
    return { wrapper: join(path, 'criu'), version, source: 'fetched' };
  } catch (cause) {
    if (cause instanceof BerthError && cause.code === 'unavailable') throw cause;
    throw new BerthError('unavailable', `CRIU could not be fetched: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** `null` for one that is too old or does not work here. */
async function checkedVersion(program: string): Promise<string | null> {
  const version = /Version: (\d+)\.(\d+)(\S*)/.exec((await runCommand(program, ['--version'])).stdout);
  if (version === null) return null;
  const [major, minor] = [Number(version[1]), Number(version[2])];
  if (major < minVersion[0] || (major === minVersion[0] && minor < minVersion[1])) return null;
  return (await runCommand(program, ['check'])).exitCode === 0 ? `${version[1]}.${version[2]}${version[3]}` : null;
}

/** `program` `null`: the fetched one beside the script, through the loader and libraries that came with it. */
async function writeWrapper(path: string, program: string | null): Promise<void> {
  const [triplet, loader] =
    process.arch === 'arm64' ? ['aarch64-linux-gnu', 'ld-linux-aarch64.so.1'] : ['x86_64-linux-gnu', 'ld-linux-x86-64.so.2'];
  const own = `"\${0%/*}/root/usr/lib/${triplet}/${loader}" --library-path "\${0%/*}/root/usr/lib/${triplet}" "\${0%/*}/root/usr/sbin/criu"`;
  const script = [
    '#!/bin/sh',
    'if [ -n "$BERTH_CRIU_LOG" ]; then exec 9>>"$BERTH_CRIU_LOG"; fi',
    `exec $BERTH_CRIU_AS ${program ?? own} "$@"`,
  ];
  await writeFile(path, `${script.join('\n')}\n`);
  await chmod(path, 0o755);
}
