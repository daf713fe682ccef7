import { access, constants, readFile, stat } from 'node:fs/promises';
import type { GuestKernel } from '../../microvm/guest-kernel.ts';
import { runCommand } from '../../run-command.ts';

/** What runs a guest's instructions. */
export interface Accelerator {
  name: 'kvm' | 'tcg';
  arguments: readonly string[];
  kernelArguments: string;
  /** Groups of the host that the machine's user needs. */
  groups: readonly number[];
  /** Why this one. */
  reason: string;
}

/**
 * Room for what is translated; it takes of the host's memory as much as is in it. A Node that starts takes 60 MB of it, and when it is
 * full the translator forgets everything.
 */
const translationMib = 512;
const kvmDevice = '/dev/kvm';
/** A kernel reaches its init in under a second where KVM works; where it does not it may never. */
const kvmBootMs = 10_000;
let kvmProblem: Promise<string | null> | null = null;

/** KVM where a guest boots with it, which having the device does not prove; else QEMU's own translator, some ten times slower. */
export async function chooseAccelerator(qemu: string, kernel: GuestKernel): Promise<Accelerator> {
  // Asked once in the life of a process: it takes a boot.
  kvmProblem ??= findKvmProblem(qemu, kernel);
  const problem = await kvmProblem;
  if (problem === null) {
    return {
      name: 'kvm',
      arguments: ['-accel', 'kvm', '-cpu', 'host,migratable=on'],
      kernelArguments: '',
      groups: [(await stat(kvmDevice)).gid],
      reason: 'a guest booted with it',
    };
  }
  return {
    name: 'tcg',
    // Without `erms` programs and the guest kernel move memory by eight bytes and more at once: of the instruction that is quicker on a
    // processor, `rep movsb`, the translator makes a loop over single bytes.
    arguments: ['-accel', `tcg,thread=multi,tb-size=${translationMib}`, '-cpu', 'max,-erms'],
    // The machine has no timer that the kernel could measure its clock by. And what a kernel does against processors that run
    // ahead costs a translator the more, as a whole new address space at each call, for nothing: no guest's own code runs there.
    kernelArguments: `tsc_early_khz=${await clockKhz()} mitigations=off`,
    groups: [],
    reason: problem,
  };
}

async function findKvmProblem(qemu: string, kernel: GuestKernel): Promise<string | null> {
  const usable = await access(kvmDevice, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return `there is no ${kvmDevice}`;
  try {
    // Without disks the init says so and turns the machine off.
    const result = await runCommand(
      qemu,
      [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine'],
        ...['microvm,acpi=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off', '-accel', 'kvm', '-cpu', 'host'],
        ...['-m', '256M', '-kernel', kernel.kernel, '-initrd', kernel.initramfs, '-serial', 'stdio'],
        ...['-append', 'console=ttyS0 quiet reboot=t panic=-1'],
      ],
      { signal: AbortSignal.timeout(kvmBootMs) },
    );
    return result.stdout.includes('init:') ? null : `${kvmDevice} does not run an ordinary kernel`;
  } catch {
    return `${kvmDevice} does not run an ordinary kernel`;
  }
}

/** That at which the host's counter of cycles goes, which is what guests without KVM see. */
async function clockKhz(): Promise<number> {
  const base = await readFile('/sys/devices/system/cpu/cpu0/cpufreq/base_frequency', 'utf8').catch(() => null);
  if (base !== null && Number(base) > 0) return Number(base);
  const mhz = /^cpu MHz\s*:\s*([\d.]+)/m.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[1];
  return Math.round(Number(mhz ?? 1000) * 1000);
}
