import { join } from 'node:path';

/** The runtime's own state: gone after a reboot, as the processes are. */
export function runtimeStateDir(installation: string): string {
  return join('/run/berth', installation);
}

/** Parent of the cgroups of one installation's sandboxes, in each hierarchy. */
export function installationCgroup(installation: string): string {
  return `/berth/${installation}`;
}
