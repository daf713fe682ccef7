import type { Finding, ProviderReport } from '../../../core/ports/sandbox-provider.ts';
import { fullNetworkFinding, type FullNetworkSettings } from '../../full-network/host-check.ts';
import { findProgram } from '../../find-program.ts';
import { findGuestKernel } from '../../microvm/guest-kernel.ts';
import { canFetchPackages } from '../../debian-packages.ts';
import { runCommand } from '../../run-command.ts';
import { chooseAccelerator } from './accelerator.ts';
import { qemuProgram } from './installation.ts';

const programs: Readonly<Record<string, string>> = {
  [qemuProgram]: 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  mke2fs: 'e2fsprogs',
  setpriv: 'util-linux',
  unshare: 'util-linux',
};

/** What this machine offers to sandboxes that are virtual machines, what is taken and why. */
export async function createReport(fullNetwork: FullNetworkSettings | null): Promise<ProviderReport> {
  const missing: string[] = [];
  for (const name of Object.keys(programs)) if ((await findProgram(name)) === null) missing.push(name);
  const qemu = await findProgram(qemuProgram);
  const version = qemu === null ? '' : (await runCommand(qemu, ['--version'])).stdout.split('\n')[0]!;
  const kernel = await findGuestKernel();
  const findings: Finding[] = [
    {
      subject: 'qemu',
      status: missing.length === 0 ? 'ok' : 'missing',
      detected: missing.length === 0 ? version : `not installed: ${missing.join(', ')}`,
      choice: missing.length === 0 ? 'one process for each sandbox, as a user of its own' : 'no virtual machines',
      advice:
        missing.length === 0
          ? null
          : `apt-get install --no-install-recommends ${[...new Set(missing.map((name) => programs[name]))].join(' ')}`,
    },
    {
      subject: 'guest kernel',
      status: kernel === null && !canFetchPackages() ? 'missing' : 'ok',
      detected: kernel?.version ?? 'none yet',
      choice: kernel === null ? "Debian's cloud kernel is fetched at the first start" : 'boots every guest',
      advice: kernel === null && !canFetchPackages() ? 'run scripts/fetch-kernel.ts on a Debian machine and copy .cache/microvm' : null,
    },
  ];
  if (qemu !== null && kernel !== null) {
    const { name, reason } = await chooseAccelerator(qemu, kernel);
    findings.push({
      subject: 'acceleration',
      status: name === 'kvm' ? 'ok' : 'degraded',
      detected: reason,
      choice: name === 'kvm' ? 'KVM' : "QEMU's translator (TCG): programs run some ten times slower",
      advice: name === 'kvm' ? null : 'use a machine with hardware virtualization, or the oci provider with gVisor',
    });
  }
  const usable = findings.every((finding) => finding.status !== 'missing');
  return { usable, findings: [...findings, await fullNetworkFinding(fullNetwork, 'card')] };
}
