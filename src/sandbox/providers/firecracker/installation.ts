import { chmod, mkdir, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { findProgram } from '../../find-program.ts';
import { openInstallation, type Installation, type InstallationOptions } from '../../microvm/driver/installation.ts';
import type { Programs } from './machine.ts';
import type { Directories } from './paths.ts';

export const driverName = 'firecracker';
/** Beyond those of accounts, containers and other drivers. */
export const uids = { first: 1_920_000_000, count: 2 ** 24 };

/** What this driver has beyond what every kind of machine has. */
export interface FirecrackerInstallation extends Installation, Directories {
  programs: Programs;
}

export interface FirecrackerInstallationOptions extends Pick<InstallationOptions, 'dataDir' | 'agentsDir' | 'placeBundle' | 'kernelDir' | 'fullNetwork'> {
  programs: { firecracker?: string | undefined; jailer?: string | undefined };
}

/** `null` for what is not installed. The path is resolved, as the jailer does. */
export async function findPrograms(
  options: FirecrackerInstallationOptions['programs'],
): Promise<{ [name in keyof Programs]: string | null }> {
  const find = async (name: keyof Programs) => {
    const path = options[name] ?? (await findProgram(name));
    return path === null ? null : realpath(path).catch(() => null);
  };
  return { firecracker: await find('firecracker'), jailer: await find('jailer') };
}

export async function openFirecracker({ programs, ...options }: FirecrackerInstallationOptions): Promise<FirecrackerInstallation> {
  const { firecracker, jailer } = await findPrograms(programs);
  if (firecracker === null || jailer === null) {
    throw new BerthError('unavailable', 'Firecracker is not installed: firecracker and jailer of one release must be on the path');
  }
  return openInstallation({ ...options, name: driverName, kernelForm: 'elf' }, async (installation) => {
    const jailsDir = join(installation.directory, 'jails');
    // Machines are jailed below, and their users must reach what is theirs there.
    await mkdir(jailsDir, { recursive: true });
    await chmod(jailsDir, 0o711);
    return { ...installation, jailsDir, programName: basename(firecracker), programs: { firecracker, jailer } };
  });
}
