import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { mustRun } from '../run-command.ts';

export interface SharedLibraries {
  /** The dynamic loader, by its path on this host. */
  loader: string;
  /** The rest, by path; the loader is not among them. */
  libraries: readonly string[];
}

/** Loaded by name at run time, so `ldd` does not list them. Older glibc keeps name services apart. */
const loadedByName = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2', 'libutil.so.1', 'librt.so.1'];

/** What a program needs from the host's glibc, so that it can run in a file system that has none. */
export async function sharedLibraries(program: string): Promise<SharedLibraries> {
  const listed = await mustRun('ldd', [program]);
  const paths = [...listed.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)].map((match) => match[1]!);
  const loader = paths.find((path) => /^ld-(?:linux|musl)/.test(basename(path)));
  const libc = paths.find((path) => basename(path) === 'libc.so.6');
  if (loader === undefined || libc === undefined) {
    throw new Error(`${program} is not a dynamic glibc program; ldd says: ${listed.trim()}`);
  }
  const extra = loadedByName.map((name) => join(dirname(libc), name)).filter((path) => existsSync(path));
  const libraries = paths.filter((path) => path !== loader);
  return { loader, libraries: [...new Set([...libraries, ...extra])] };
}
