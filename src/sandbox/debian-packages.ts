import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../protocol/errors.ts';
import { mustRun } from './run-command.ts';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const defaultMirror = 'http://deb.debian.org/debian';
/** Whether packages can be fetched and their signatures checked. */
export function canFetchPackages(): boolean {
  return existsSync(keyring) && existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg-deb');
}

/**
 * Downloads a package of a release of Debian (`suite`) and everything it depends on, and unpacks them below `root`. Nothing is
 * installed and the machine's own package state is not read: apt works in `scratch`, takes an empty machine
 * for granted and so brings the C library and its loader too, and checks the archive's signature.
 */
export async function unpackDebianPackage(
  name: string,
  suite: string,
  scratch: string,
  root: string,
  signal: AbortSignal,
): Promise<void> {
  const { options, archives } = await openArchive(suite, scratch, signal);
  await mustRun('apt-get', [...options, '-qq', '-y', '--download-only', 'install', name], { signal });
  await unpackAll(archives, root, signal);
}

/**
 * As `unpackDebianPackage`, but of the named packages alone: nothing that they depend on is fetched. `firstDependencyOf`
 * stands for what a package without content of its own names first.
 */
export async function unpackPackagesAlone(
  names: readonly (string | { firstDependencyOf: string })[],
  suite: string,
  scratch: string,
  root: string,
  signal: AbortSignal,
): Promise<void> {
  const { options, archives } = await openArchive(suite, scratch, signal);
  await mkdir(archives, { recursive: true });
  for (const name of names) {
    const real = typeof name === 'string' ? name : await firstDependency(name.firstDependencyOf, options, signal);
    await mustRun('apt-get', [...options, '-qq', 'download', real], { signal, cwd: archives });
  }
  await unpackAll(archives, root, signal);
}

async function firstDependency(name: string, options: readonly string[], signal: AbortSignal): Promise<string> {
  const listed = await mustRun('apt-cache', [...options, 'depends', '--important', name], { signal });
  const dependency = /^\s+Depends: (\S+)$/m.exec(listed)?.[1];
  if (dependency === undefined) throw new BerthError('upstream_failed', `Debian's ${name} depends on nothing`);
  return dependency;
}

/** Reads the archive's lists, once it has checked their signature. */
async function openArchive(
  suite: string,
  scratch: string,
  signal: AbortSignal,
): Promise<{ options: readonly string[]; archives: string }> {
  const [state, cache] = [join(scratch, 'state'), join(scratch, 'cache')];
  await mkdir(join(state, 'lists/partial'), { recursive: true });
  await mkdir(join(cache, 'archives/partial'), { recursive: true });
  await writeFile(join(state, 'status'), '');
  const sources = join(scratch, 'debian.sources');
  const mirror = await debianMirror();
  await writeFile(sources, `Types: deb\nURIs: ${mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: ${keyring}\n`);
  const options = [
    `Dir::State=${state}`,
    `Dir::State::status=${join(state, 'status')}`,
    `Dir::Cache=${cache}`,
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=-',
    'Dir::Etc::preferencesparts=-',
    'Acquire::Languages=none',
    'Acquire::Retries=1',
    'Acquire::http::Timeout=15',
    'APT::Install-Recommends=0',
    'APT::Sandbox::User=root',
    'Debug::NoLocking=1',
  ].flatMap((option) => ['-o', option]);
  await mustRun('apt-get', [...options, '-qq', 'update'], { signal });
  return { options, archives: join(cache, 'archives') };
}

async function unpackAll(archives: string, root: string, signal: AbortSignal): Promise<void> {
  for (const file of (await readdir(archives)).filter((entry) => entry.endsWith('.deb'))) {
    await mustRun('dpkg-deb', ['--extract', join(archives, file), root], { signal });
  }
}

/** The mirror that this machine already uses for Debian itself, else Debian's own. */
async function debianMirror(): Promise<string> {
  const files = ['/etc/apt/sources.list'];
  const parts = '/etc/apt/sources.list.d';
  if (existsSync(parts)) files.push(...(await readdir(parts)).toSorted().map((name) => join(parts, name)));
  for (const file of files) {
    if (!existsSync(file)) continue;
    const text = await readFile(file, 'utf8');
    const uri = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(https?:\/\/\S+\/debian\/?)(?:\s|$)/m.exec(text)?.[1];
    if (uri !== undefined) return uri;
  }
  return defaultMirror;
}
