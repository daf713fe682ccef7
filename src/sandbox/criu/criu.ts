import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../find-program.ts';
import { runCommand } from '../run-command.ts';

/** A CRIU that works on this kernel: it writes the memory of processes to disk and brings them back. */
export interface Criu {
  /** The command before CRIU's own arguments. */
  argv: readonly string[];
  version: string;
  /** `fetched`: from Debian's packages, by `scripts/setup.sh`. */
  source: 'system' | 'fetched';
}

export interface CriuSearch {
  criu: Criu | null;
  /** What was found, and of each that cannot be used why; for people. */
  detected: string;
}

/** 4.2 is the first that can dump an internet socket on Linux 6.16 and newer (checkpoint-restore/criu#2705). */
const minVersion = [4, 2] as const;

/** What is run beside CRIU, and Debian's package of each. */
const companions: Readonly<Record<string, string>> = {
  flock: 'util-linux',
  nsenter: 'util-linux',
  ip: 'iproute2',
};

/** Where `scripts/setup.sh` puts it: beside what npm installs, as it is as much a part of this copy of Berth. */
export const fetchedCriuDir = join(import.meta.dirname, '../../../.cache/criu');

const found = new Map<string, CriuSearch>();

/**
 * Fetches nothing. Takes the machine's own before a fetched one, which is an older copy as soon as the machine is upgraded.
 * What was found once is not asked again: its check takes a third of a second on a busy machine.
 */
export async function findCriu(directory: string = fetchedCriuDir): Promise<CriuSearch> {
  const search = found.get(directory) ?? (await searchCriu(directory));
  if (search.criu !== null) found.set(directory, search);
  return search;
}

async function searchCriu(directory: string): Promise<CriuSearch> {
  const reasons: string[] = [];
  for (const [program, debianPackage] of Object.entries(companions)) {
    if ((await findProgram(program)) === null) {
      return { criu: null, detected: `no ${program}, which waking needs (apt-get install ${debianPackage})` };
    }
  }
  const candidates: { argv: readonly string[]; source: Criu['source'] }[] = [];
  const system = await findProgram('criu');
  if (system !== null) candidates.push({ argv: [system], source: 'system' });
  const names = existsSync(directory) ? (await readdir(directory)).filter((name) => /^\d/.test(name)) : [];
  for (const name of names.toSorted().toReversed()) {
    candidates.push({ argv: fetchedArgv(join(directory, name)), source: 'fetched' });
  }
  for (const { argv, source } of candidates) {
    const where = source === 'system' ? argv[0] : `${argv.at(-1)}, fetched from Debian`;
    const checked = await checkCriu(argv);
    if (checked.problem === null) {
      return { criu: { argv, version: checked.version, source }, detected: `CRIU ${checked.version} (${where})` };
    }
    reasons.push(`CRIU ${checked.version} (${where}) ${checked.problem}`);
  }
  return { criu: null, detected: reasons.length === 0 ? 'no CRIU' : reasons.join('; ') };
}

/** Through the loader and the libraries that came with it: it needs a newer C library than the machine may have. */
export function fetchedArgv(directory: string): readonly string[] {
  const [triplet, loader] =
    process.arch === 'arm64'
      ? ['aarch64-linux-gnu', 'ld-linux-aarch64.so.1']
      : ['x86_64-linux-gnu', 'ld-linux-x86-64.so.2'];
  const libraries = join(directory, 'root/usr/lib', triplet);
  return [join(libraries, loader), '--library-path', libraries, join(directory, 'root/usr/sbin/criu')];
}

export async function checkCriu(argv: readonly string[]): Promise<{ version: string; problem: string | null }> {
  const [program, ...args] = argv as [string, ...string[]];
  const printed = await runCommand(program, [...args, '--version']);
  const match = /Version: (\d+)\.(\d+)(\S*)/.exec(printed.stdout);
  if (match === null) return { version: '?', problem: 'does not start' };
  const version = `${match[1]}.${match[2]}${match[3]}`;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  if (major < minVersion[0] || (major === minVersion[0] && minor < minVersion[1])) {
    return { version, problem: `is older than ${minVersion.join('.')}` };
  }
  const check = await runCommand(program, [...args, 'check']);
  return { version, problem: check.exitCode === 0 ? null : `fails its own check on kernel ${release()}` };
}
