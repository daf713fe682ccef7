import { detectCgroups } from '../../src/sandbox/host/cgroups.ts';
import { findProgram } from '../../src/sandbox/find-program.ts';
import { runCommand } from '../../src/sandbox/run-command.ts';
import type { LocalProvider } from './providers.ts';

/** With what it is compared there. */
const beside: readonly LocalProvider[] = ['oci/runc', 'oci/crun'];

/**
 * crun works with cgroup v2 alone. Where this machine mounts more, its table, with runc beside it, comes from a run of the same command
 * that sees nothing else; `null` where it is not needed or crun is not there.
 */
export async function compareWithV2(script: string, quick: boolean): Promise<string | null> {
  if ((await detectCgroups()).mode === 'v2' || (await findProgram('crun')) === null) return null;
  const view = new URL('../../test/fixtures/cgroup-v2/run.sh', import.meta.url).pathname;
  const chosen = beside.flatMap((name) => ['--provider', name]);
  const { exitCode, stdout, stderr } = await runCommand(view, [
    ...[process.execPath, ...process.execArgv, script, '--only', 'providers', ...chosen],
    ...(quick ? ['--quick'] : []),
  ]);
  if (exitCode !== 0) return `With cgroup v2 alone, crun could not be measured: ${stderr.trim().split('\n').at(-1)}`;
  // Its first lines say again what machine this is.
  return `Where cgroup v2 alone is mounted, which crun needs:\n${stdout.slice(stdout.indexOf('\n\n') + 1).trimEnd()}`;
}
