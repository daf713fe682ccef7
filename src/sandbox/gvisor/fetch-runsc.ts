import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { canFetchPackages, unpackDebianPackage } from '../debian-packages.ts';
import { runCommand } from '../run-command.ts';
import { fetchedGvisorDir, fetchedRunscPath, findFetchedRunsc } from './fetched-runsc.ts';

const fetchDeadlineMs = 120_000;
/**
 * That of Debian 12 itself is of 2022 and does not run on newer kernels. That of forky is the same release as this one, but
 * built by a Go that it does not know, and its kernel ends at once.
 */
const suite = 'bookworm-backports';

/** One that was fetched before, else one from Debian's packages (30 MB), unpacked into `directory`; its path. Throws `unavailable` with the reason. */
export async function fetchRunsc(directory: string = fetchedGvisorDir): Promise<string> {
  const found = await findFetchedRunsc(directory);
  if (found !== null) return found;
  if (!canFetchPackages()) {
    throw new BerthError(
      'unavailable',
      'gVisor cannot be fetched: this is not Debian or Ubuntu with the keyring of the archive of Debian',
    );
  }
  const staging = join(directory, `.new-${process.pid}`);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true, mode: 0o755 });
  try {
    const signal = AbortSignal.timeout(fetchDeadlineMs);
    await unpackDebianPackage('runsc', suite, join(staging, 'apt'), join(staging, 'root'), signal);
    await rm(join(staging, 'apt'), { recursive: true });
    const { stdout } = await runCommand(fetchedRunscPath(staging), ['--version']);
    const version = /version (\S+)/.exec(stdout)?.[1];
    if (version === undefined) throw new BerthError('unavailable', 'the gVisor of Debian does not start');
    const path = join(directory, version.replaceAll('/', '-'));
    await rm(path, { recursive: true, force: true });
    await rename(staging, path);
    return fetchedRunscPath(path);
  } catch (cause) {
    if (cause instanceof BerthError && cause.code === 'unavailable') throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('unavailable', `gVisor could not be fetched: ${reason}`, { cause });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
