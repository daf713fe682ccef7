import { BerthError } from '../../../protocol/errors.ts';
import { mustRun } from '../../run-command.ts';
import type { SandboxCgroup } from './cgroup.ts';

/**
 * Brings up the loopback interface of a restored sandbox: CRIU makes the network namespace anew, with
 * `lo` down, and sockets that listen on it cannot be reached. The kernel gives it its addresses.
 */
export async function raiseLoopback(cgroup: SandboxCgroup): Promise<void> {
  const [pid] = await cgroup.processes();
  if (pid === undefined) throw new BerthError('upstream_failed', 'no process came back');
  await mustRun('nsenter', ['--target', String(pid), '--net', 'ip', 'link', 'set', 'lo', 'up']);
}
