import { findProgram } from '../find-program.ts';
import { findFetchedRunsc } from '../gvisor/fetched-runsc.ts';
import { runCommand } from '../run-command.ts';
import type { CgroupMode } from './cgroups.ts';
import { crunObstacle } from './limits.ts';

export type RuntimeName = 'runc' | 'crun' | 'runsc';

export interface FoundRuntime {
  name: RuntimeName;
  path: string;
  version: string;
}

export interface RuntimeChoice {
  found: readonly FoundRuntime[];
  /** `null`: none that works here. */
  chosen: FoundRuntime | null;
  reason: string;
}

const names: readonly RuntimeName[] = ['runc', 'crun', 'runsc'];

/** Finds the OCI runtimes and takes the one asked for, or the fastest that works with this host's cgroups. */
export async function chooseRuntime(
  mode: CgroupMode,
  forced: RuntimeName | null,
  obstacleOfCrun: () => Promise<string | null> = crunObstacle,
): Promise<RuntimeChoice> {
  const found = (await Promise.all(names.map(findRuntime))).filter((runtime) => runtime !== null);
  const pick = (name: RuntimeName) => found.find((runtime) => runtime.name === name) ?? null;
  if (forced !== null) {
    const chosen = pick(forced);
    return {
      found,
      chosen,
      reason: chosen === null ? `${forced} was asked for and is not installed` : `${forced} was asked for`,
    };
  }
  const crun = pick('crun');
  const obstacle = mode === 'v2' ? await obstacleOfCrun() : null;
  if (mode === 'v2' && crun !== null && obstacle === null) {
    return { found, chosen: crun, reason: 'crun starts fastest and works with cgroup v2' };
  }
  const runc = pick('runc');
  if (runc !== null) {
    const passedOver = crun === null ? '' : `; crun cannot work with ${mode} cgroups${obstacle === null ? '' : ` here: ${obstacle}`}`;
    return { found, chosen: runc, reason: `runc works with ${mode} cgroups${passedOver}` };
  }
  // gVisor is taken only when asked for: it enforces limits differently, and some programs do not run in it.
  return { found, chosen: null, reason: `no runtime that works with ${mode} cgroups is installed` };
}

async function findRuntime(name: RuntimeName): Promise<FoundRuntime | null> {
  // One that was fetched is newer than what a stable release of Debian installs, which may not work on this kernel.
  const fetched = name === 'runsc' ? await findFetchedRunsc() : null;
  const path = fetched ?? (await findProgram(name));
  if (path === null) return null;
  const { exitCode, stdout } = await runCommand(path, ['--version']);
  if (exitCode !== 0) return null;
  return { name, path, version: /version:? (?:release-)?(\S+)/.exec(stdout)?.[1] ?? 'unknown' };
}
