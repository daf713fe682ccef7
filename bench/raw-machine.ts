import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../src/sandbox/find-program.ts';
import { findGuestKernel } from '../src/sandbox/microvm/guest-kernel.ts';
import { chooseAccelerator } from '../src/sandbox/providers/qemu/accelerator.ts';
import { memoryLoaded, saveMemory } from '../src/sandbox/providers/qemu/memory-transfer.ts';
import { openQmp, type Qmp } from '../src/sandbox/providers/qemu/qmp.ts';
import { hostEnv, mustRun } from '../src/sandbox/run-command.ts';
import { limits, soon } from './host.ts';
import type { Pair } from './measure.ts';
import { removable } from './when-cut.ts';

type Halves = Pick<Pair, 'first' | 'second'>;

/** QEMU by hand: the guest kernel, memory and processors of Berth's machines, no disks, no runner, no user of its own. */
export interface RawMachine {
  /** Boots another to its init, which finds no disks and turns it off. */
  boot(): Promise<void>;
  pause: Halves;
  /** Memory to a file and the end of QEMU; QEMU anew with that memory, going on. */
  hibernation: Halves;
  process(): number;
  end(): Promise<void>;
}

export async function startRawMachine(directory: string): Promise<RawMachine> {
  const [qemu, kernel] = await Promise.all([findProgram('qemu-system-x86_64'), findGuestKernel()]);
  if (qemu === null || kernel === null) throw new Error(qemu === null ? 'no qemu-system-x86_64' : 'no guest kernel: scripts/fetch-kernel.ts');
  const accelerator = await chooseAccelerator(qemu, kernel);
  const machine = (append: string) => [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'microvm,acpi=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off'],
    ...accelerator.arguments,
    ...['-smp', String(limits.cpus), '-m', `${limits.memoryBytes / 2 ** 20}M`, '-kernel', kernel.kernel, '-initrd', kernel.initramfs, '-serial', 'stdio'],
    ...['-append', `console=ttyS0 reboot=t panic=-1 ${accelerator.kernelArguments} ${append}`],
  ];
  const [monitor, memory, transfer, log] = ['monitor', 'memory', 'transfer', 'log'].map((name) => join(directory, `raw-${name}`)) as [string, string, string, string];
  let child: ChildProcess | null = null;

  async function start(more: readonly string[]): Promise<void> {
    await rm(monitor, { force: true });
    const output = openSync(log, 'w', 0o600);
    // No init of Berth's: a process that sleeps, as in the containers beside it.
    const args = [...machine('rdinit=/bin/sleep -- 1000000'), '-qmp', `unix:${monitor},server=on,wait=off`, ...more];
    child = spawn(qemu!, args, { env: { ...hostEnv }, stdio: ['ignore', output, output] });
    closeSync(output);
    await once(child, 'spawn');
  }

  async function monitored<T>(use: (qmp: Qmp) => Promise<T>): Promise<T> {
    const qmp = await patiently(() => openQmp(monitor, soon()));
    try {
      return await use(qmp);
    } finally {
      qmp.close();
    }
  }

  const end = removable(endMachine);
  async function endMachine(): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  await start([]);
  await patiently(async () => {
    if (!(await readFile(log, 'utf8')).includes('Run /bin/sleep as init')) throw new Error('the raw machine does not boot');
  });
  return {
    boot: async () => void (await mustRun(qemu, machine('quiet'), { signal: soon() })),
    pause: {
      first: () => monitored((qmp) => qmp.run('stop')),
      second: () => monitored((qmp) => qmp.run('cont')),
    },
    hibernation: {
      async first() {
        await monitored(async (qmp) => {
          await qmp.run('stop');
          await saveMemory(qmp, transfer, 0, memory, soon());
        });
        await endMachine();
      },
      async second() {
        await start(['-incoming', `exec:cat ${memory}`, '-S']);
        await monitored(async (qmp) => {
          await memoryLoaded(qmp, soon());
          await qmp.run('cont');
        });
      },
    },
    process: () => child!.pid!,
    end,
  };
}

const lookMs = 2;

/** Until it works; what is waited for takes a fraction of the deadline. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (const signal = soon(); ; await sleep(lookMs)) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }
}
