import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { checkCriu, fetchedArgv, fetchedCriuDir, findCriu, type Criu } from './criu.ts';
import { canFetchPackages, unpackDebianPackage } from '../debian-packages.ts';

const fetchDeadlineMs = 120_000;
/** Debian's release that has CRIU 4.2; 13 (trixie) has 4.1.1, which cannot dump an internet socket on Linux 6.16 and newer. */
const suite = 'forky';

/** What `findCriu` finds, else one from Debian's packages (10 MB), unpacked into `directory`. Throws `unavailable` with the reason. */
export async function fetchCriu(directory: string = fetchedCriuDir): Promise<Criu> {
  const found = await findCriu(directory);
  if (found.criu !== null) return found.criu;
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new BerthError('unavailable', `${found.detected}, and Debian has none for ${process.arch}`);
  }
  if (!canFetchPackages()) {
    const reason = 'none can be fetched: this is not Debian or Ubuntu with the keyring of the archive of Debian';
    throw new BerthError('unavailable', `${found.detected}, and ${reason}`);
  }
  const staging = join(directory, `.new-${process.pid}`);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true, mode: 0o755 });
  try {
    const signal = AbortSignal.timeout(fetchDeadlineMs);
    await unpackDebianPackage('criu', suite, join(staging, 'apt'), join(staging, 'root'), signal);
    await rm(join(staging, 'apt'), { recursive: true });
    const { version, problem } = await checkCriu(fetchedArgv(staging));
    if (problem !== null) throw new BerthError('unavailable', `the CRIU ${version} of Debian ${problem}`);
    const path = join(directory, version);
    await rm(path, { recursive: true, force: true });
    await rename(staging, path);
    return { argv: fetchedArgv(path), version, source: 'fetched' };
  } catch (cause) {
    if (cause instanceof BerthError && cause.code === 'unavailable') throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('unavailable', `CRIU could not be fetched: ${reason}`, { cause });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
