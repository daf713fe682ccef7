import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { availableParallelism, release, totalmem } from 'node:os';
import type { Finding } from '../../core/ports/sandbox-provider.ts';
import { findCriu } from '../criu/criu.ts';
import { canCheckpoint } from '../gvisor/can-checkpoint.ts';
import { missingCapabilities } from './capabilities.ts';
import { freeBytesAt } from '../free-bytes.ts';
import type { CgroupLayout } from './cgroups.ts';
import type { RuntimeChoice } from './runtimes.ts';

const gibibyte = 1024 ** 3;

export async function machineFinding(dataDir: string): Promise<Finding> {
  const memoryGib = totalmem() / gibibyte;
  const freeGib = (await freeBytesAt(dataDir).catch(() => freeBytesAt('/'))) / gibibyte;
  const tight = memoryGib < 4 || freeGib < 10;
  return {
    subject: 'machine',
    status: tight ? 'degraded' : 'ok',
    detected: `${availableParallelism()} cores, ${memoryGib.toFixed(1)} GiB memory, ${freeGib.toFixed(0)} GiB free disk, kernel ${release()}`,
    choice: 'limits of sandboxes are cut from these',
    advice: tight
      ? 'an agent with its tools takes 1 to 2 GiB of memory; give the machine at least 4 GiB and 10 GiB of disk'
      : null,
  };
}

export async function privilegeFinding(): Promise<Finding> {
  const missing = await missingCapabilities();
  const root = process.getuid?.() === 0;
  if (!root || missing.includes('SYS_ADMIN')) {
    return {
      subject: 'privileges',
      status: 'missing',
      detected: root ? 'root without CAP_SYS_ADMIN' : `uid ${process.getuid?.()}`,
      choice: 'sandboxes cannot be made',
      advice: 'run Berth as root, outside an unprivileged container',
    };
  }
  return {
    subject: 'privileges',
    status: 'ok',
    detected: missing.length === 0 ? 'root' : `root without CAP_${missing.join(', CAP_')}`,
    choice: 'limits of processes are only ever set downward, which needs no capability',
    advice: null,
  };
}

export function runtimeFinding(choice: RuntimeChoice): Finding {
  const list = choice.found.map((runtime) => `${runtime.name} ${runtime.version}`).join(', ');
  return {
    subject: 'runtime',
    status: choice.chosen === null ? 'missing' : 'ok',
    detected: list === '' ? 'no OCI runtime' : list,
    choice: choice.chosen === null ? choice.reason : `${choice.chosen.name} ${choice.chosen.version}: ${choice.reason}`,
    advice: choice.chosen === null ? 'apt-get install runc' : null,
  };
}

export function cgroupFinding(layout: CgroupLayout): Finding {
  const needed = ['cpu', 'memory', 'pids'];
  const missing = needed.filter((name) => !layout.controllers.has(name));
  return {
    subject: 'cgroups',
    status: missing.length === 0 ? 'ok' : 'degraded',
    detected: `${layout.mode}, controllers: ${[...layout.controllers.keys()].toSorted().join(' ') || 'none'}`,
    choice:
      missing.length === 0
        ? `limits on CPU, memory${layout.swapCounted ? ' (swap included)' : ''} and processes are enforced`
        : `no limit on ${missing.join(', ')}: a sandbox with one is refused`,
    advice:
      missing.length === 0
        ? null
        : 'mount cgroup v2 with these controllers (systemd does), or boot with systemd.unified_cgroup_hierarchy=1',
  };
}

/** What writes a sandbox's memory to disk. Debian 12's CRIU 3.17 does not start on newer kernels, so it is asked. */
export async function checkpointFinding(runtimes: RuntimeChoice): Promise<Finding> {
  const subject = 'checkpoint';
  const off = 'hibernate is off: an idle sandbox is stopped and keeps its disk';
  const runtime = runtimes.chosen?.name ?? 'runc';
  if (runtimes.chosen?.name === 'runsc') {
    const { path, version } = runtimes.chosen;
    const found = `runsc ${version} (${path})`;
    if (!canCheckpoint(version)) {
      const advice = 'run scripts/fetch-runsc.ts, or install runsc of July 2024 or later';
      return { subject, status: 'degraded', detected: found, choice: off, advice };
    }
    const choice = "hibernate writes processes and memory to disk, by gVisor's own checkpoint";
    return { subject, status: 'ok', detected: found, choice, advice: null };
  }
  const { criu, detected } = await findCriu();
  if (runtime === 'crun') {
    const advice = 'set BERTH_RUNTIME=runc, with runc installed';
    return { subject, status: 'degraded', detected, choice: `${off}, as crun takes CRIU only as a library`, advice };
  }
  if (criu === null) {
    return {
      subject,
      status: 'missing',
      detected,
      choice: off,
      advice: 'run scripts/setup.sh, which fetches CRIU 4.2 from Debian packages, or install CRIU 4.2 or newer',
    };
  }
  return {
    subject,
    status: 'ok',
    detected,
    choice: 'hibernate writes processes and memory to disk',
    advice: null,
  };
}

export async function gvisorFinding(choice: RuntimeChoice): Promise<Finding> {
  const runsc = choice.found.find((runtime) => runtime.name === 'runsc');
  const used = choice.chosen?.name === 'runsc';
  return {
    subject: 'gvisor',
    status: runsc === undefined ? 'missing' : 'ok',
    detected: runsc === undefined ? 'no runsc' : `runsc ${runsc.version} (${runsc.path})`,
    choice: used
      ? 'sandboxes have a kernel of their own in user space'
      : 'sandboxes share the kernel, behind namespaces and seccomp',
    advice: used
      ? null
      : `${runsc === undefined ? 'fetch runsc (scripts/fetch-runsc.ts) or install it (of 2023 or later) and set' : 'set'} BERTH_RUNTIME=runsc to keep hostile code off this kernel, at a third of the speed of system calls`,
  };
}

export async function kvmFinding(): Promise<Finding> {
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  return {
    subject: 'kvm',
    status: usable ? 'ok' : 'missing',
    detected: usable ? '/dev/kvm can be opened; whether it runs a guest is not probed' : 'no usable /dev/kvm',
    choice: 'not used by the oci provider',
    advice: null,
  };
}

/** All sandboxes have uid 1000, and the kernel counts these per uid of the host. */
export async function inotifyFinding(): Promise<Finding> {
  const read = async (name: string) => Number(await readFile(`/proc/sys/fs/inotify/${name}`, 'utf8'));
  const [instances, watches] = await Promise.all([read('max_user_instances'), read('max_user_watches')]);
  const low = instances < 1024 || watches < 262_144;
  return {
    subject: 'inotify',
    status: low ? 'degraded' : 'ok',
    detected: `${instances} instances and ${watches} watches per user`,
    choice: 'shared by all sandboxes, whose user is the same to the kernel',
    advice: low ? 'sysctl fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=1048576' : null,
  };
}
