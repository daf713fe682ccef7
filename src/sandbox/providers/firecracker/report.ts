import type { Finding, ProviderReport } from '../../../core/ports/sandbox-provider.ts';
import { canFetchPackages } from '../../debian-packages.ts';
import { fullNetworkFinding, type FullNetworkSettings } from '../../full-network/host-check.ts';
import { findProgram } from '../../find-program.ts';
import { findGuestKernel } from '../../microvm/guest-kernel.ts';
import { runCommand } from '../../run-command.ts';
import { findPrograms, type FirecrackerInstallationOptions } from './installation.ts';
import { findKvmProblem } from './kvm.ts';

const versionMs = 5000;

/** What this machine offers to sandboxes that are Firecracker's machines, and what is missing. */
export async function createReport(programs: FirecrackerInstallationOptions['programs'], kvmDevice: string, fullNetwork: FullNetworkSettings | null): Promise<ProviderReport> {
  const { firecracker, jailer } = await findPrograms(programs);
  const missing = Object.entries({ firecracker, jailer }).flatMap(([name, path]) => (path === null ? [name] : []));
  if ((await findProgram('mke2fs')) === null) missing.push('mke2fs');
  const kernel = await findGuestKernel();
  const kvm = await findKvmProblem(kvmDevice);
  const findings: Finding[] = [
    {
      subject: 'firecracker',
      status: missing.length === 0 ? 'ok' : 'missing',
      detected: missing.length === 0 ? await versionOf(firecracker!) : `not installed: ${missing.join(', ')}`,
      choice: missing.length === 0 ? 'one process for each sandbox, in a jail and as a user of its own' : 'no machines',
      advice: missing.length === 0 ? null : 'put firecracker and jailer of one release into /usr/local/bin; apt-get install e2fsprogs',
    },
    {
      subject: 'kvm',
      status: kvm === null ? 'ok' : 'missing',
      detected: kvm ?? kvmDevice,
      choice: kvm === null ? 'runs the guests; whether it does is known at the first boot' : 'no machines: Firecracker has nothing else',
      advice: kvm === null ? null : 'use a machine with hardware virtualization, or the qemu provider, which can do without',
    },
    {
      subject: 'guest kernel',
      status: kernel === null && !canFetchPackages() ? 'missing' : 'ok',
      detected: kernel?.version ?? 'none yet',
      choice: kernel === null ? "Debian's cloud kernel is fetched and unpacked at the first start" : 'boots every guest',
      advice: kernel === null && !canFetchPackages() ? 'run scripts/fetch-kernel.ts on a Debian machine and copy .cache/microvm' : null,
    },
  ];
  const usable = findings.every((finding) => finding.status !== 'missing');
  return { usable, findings: [...findings, await fullNetworkFinding(fullNetwork, 'card')] };
}

async function versionOf(firecracker: string): Promise<string> {
  const { stdout } = await runCommand(firecracker, ['--version'], { signal: AbortSignal.timeout(versionMs) });
  return stdout.split('\n')[0]!.trim() || 'of an unknown version';
}
