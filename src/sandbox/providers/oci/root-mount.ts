import { mkdir } from 'node:fs/promises';
import type { Template } from '../../templates/template.ts';
import { isMounted, unmountBelow } from '../../mount-table.ts';
import { mustRun } from '../../run-command.ts';
import type { DiskPaths, SandboxPaths } from './paths.ts';

/**
 * Mounts a sandbox's root: its template below, its own changes above. On the host and not in the
 * runtime's configuration, because a checkpoint can only be restored onto a root that is there already.
 */
export async function mountRoot(
  template: Template,
  paths: SandboxPaths,
  disk: DiskPaths,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(paths.rootfs, { recursive: true, mode: 0o755 });
  const layers = `lowerdir=${template.rootfs},upperdir=${disk.upper},workdir=${disk.work}`;
  await mustRun('mount', ['-t', 'overlay', '-o', `nosuid,nodev,${layers}`, 'overlay', paths.rootfs], { signal });
}

/** No-op when it is not mounted. */
export async function unmountRoot(paths: SandboxPaths): Promise<void> {
  if (await isMounted(paths.rootfs)) await unmountBelow(paths.rootfs);
}
