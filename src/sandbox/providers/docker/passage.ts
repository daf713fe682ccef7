import { dirname } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { findProgram } from '../../find-program.ts';
import { runCommand } from '../../run-command.ts';
import type { Owner } from './owner.ts';

/**
 * A rootless engine mounts directories of ours as its user, who must be able to pass through all that is above them. The data
 * directory is closed to everybody: this one user is let through it, not to look around in it. Throws `unavailable` where something
 * else is in the way.
 */
export async function letThrough(user: Owner, dataDir: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if ((await obstacleTo(user, path)) === dataDir) await openTo(user, dataDir);
    const obstacle = await obstacleTo(user, path);
    if (obstacle === null) continue;
    throw new BerthError('unavailable', `the container engine's user (uid ${user.uid}) cannot pass through ${obstacle}`, {
      context: { path, obstacle },
    });
  }
}

/** The uppermost directory that the user cannot enter. */
async function obstacleTo(user: Owner, path: string): Promise<string | null> {
  if (await canEnter(user, path)) return null;
  const above = dirname(path);
  return (above === path ? null : await obstacleTo(user, above)) ?? path;
}

/** By trying: modes alone do not tell. */
async function canEnter({ uid, gid }: Owner, path: string): Promise<boolean> {
  const { exitCode } = await runCommand('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', 'test', '-x', path]);
  return exitCode === 0;
}

/** Him and nobody else: of an engine that was used before, the user is let through no more. */
async function openTo({ uid }: Owner, directory: string): Promise<void> {
  if ((await findProgram('setfacl')) === null) {
    throw new BerthError('unavailable', `the container engine's user (uid ${uid}) is to be let through ${directory}: install setfacl (apt-get install acl)`);
  }
  const { exitCode, stderr } = await runCommand('setfacl', ['--set', `u::rwx,g::---,o::---,u:${uid}:--x`, directory]);
  if (exitCode === 0) return;
  throw new BerthError('unavailable', `the container engine's user (uid ${uid}) could not be let through ${directory}: ${stderr.trim()}`);
}
