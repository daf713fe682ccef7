import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { orAborted } from '../../or-aborted.ts';
import { openGuestChannel, type GuestChannel } from '../../microvm/guest-channel.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import { hashOf } from '../../microvm/images.ts';
import type { MachineShape } from '../../microvm/machine-shape.ts';
import { createRunnerClient } from '../../runner-client/index.ts';
import { createDisk, type Base } from './disk.ts';
import { machineUp, seenByMachine, startMachine, type MachineFiles } from './machine.ts';
import { machineSockets } from './paths.ts';
import { endMachine, killAllOf } from '../../microvm/processes.ts';
import { saveMemory } from './memory-transfer.ts';
import { openQmp } from './qmp.ts';
import type { Accelerator } from './accelerator.ts';

/**
 * A seed is the memory of a machine that has booted and whose runner waits to be told who it is: no sandbox has been in it, and
 * it has read nothing of its own disk. Every sandbox of that shape starts from it in place of a boot, which takes seconds, and
 * many where the machine's instructions are translated. What must not be equal in two of them comes after: see `init.sh`.
 */
export interface Seeds {
  /** The file of that shape's, made at first need. It goes on being made when the caller gives up. */
  ensure(shape: MachineShape, signal: AbortSignal): Promise<string>;
  /** Ends what is being made. */
  close(): Promise<void>;
}

export interface SeedsOptions {
  directory: string;
  runDir: string;
  files: MachineFiles;
  /** Names the machine that makes one. */
  installation: string;
  /** The user that it runs as. */
  uid: number;
  qemu: string;
  /** Its version: another may not read what this one writes. */
  qemuVersion: string;
  accelerator: Accelerator;
  agentsImage: string;
  blank(sizeBytes: number, signal: AbortSignal): Promise<string>;
}

/** Shapes beyond these are of limits that nobody asks for any more, or of templates and runners of the past. */
const kept = 6;
const bootMs = 150_000;

export async function openSeeds(options: SeedsOptions): Promise<Seeds> {
  const { directory } = options;
  await mkdir(directory, { recursive: true, mode: 0o711 });
  // Of one that was killed while it made one.
  await killAllOf(options.uid);
  for (const name of await readdir(directory)) {
    if (name.startsWith('.')) await rm(join(directory, name), { recursive: true, force: true });
  }
  const closing = new AbortController();
  const making = new Map<string, Promise<string>>();
  // One at a time: they share a user, and each takes a processor.
  let last: Promise<unknown> = Promise.resolve();

  return {
    async ensure(shape, signal) {
      const key = keyOf(shape, options);
      const path = join(directory, key);
      if (existsSync(path)) {
        const now = new Date();
        await utimes(path, now, now);
        return path;
      }
      let running = making.get(key);
      if (running === undefined) {
        running = last
          .catch(() => {})
          .then(() => makeSeed(options, shape, path, closing.signal))
          .finally(() => making.delete(key));
        last = running;
        making.set(key, running);
      }
      return orAborted(running, signal);
    },
    async close() {
      closing.abort();
      await last.catch(() => {});
    },
  };
}

function keyOf(shape: MachineShape, { qemuVersion, accelerator, agentsImage }: SeedsOptions): string {
  const machine = [...accelerator.arguments, accelerator.kernelArguments];
  return hashOf('1', JSON.stringify(shape), qemuVersion, agentsImage, ...machine);
}

async function makeSeed(options: SeedsOptions, shape: MachineShape, path: string, closing: AbortSignal): Promise<string> {
  const staging = join(options.directory, `.${process.pid}`);
  const run = join(options.runDir, 'seed');
  const signal = AbortSignal.any([closing, AbortSignal.timeout(bootMs)]);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { mode: 0o711 });
  const processFile = join(staging, 'machine.json');
  const log = join(staging, 'log');
  try {
    const disk = join(staging, 'disk.qcow2');
    const blank = await options.blank(shape.diskBytes, signal);
    const base: Base = { file: seenByMachine(options.files, blank), format: 'raw' };
    await createDisk(disk, base, shape.diskBytes, options.uid);
    const { accelerator, agentsImage, files, qemu, uid } = options;
    const name = `berth-${options.installation}-seed`;
    await startMachine({ files, name, qemu, accelerator, shape, card: null, uid, disk, agentsImage, run, log, processFile, memory: null });
    const sockets = machineSockets(run);
    await machineUp(run, processFile, log, signal);
    const channel = await openGuestChannel(sockets.link, signal);
    await rehearse(channel, signal).finally(() => channel.close());
    const qmp = await openQmp(sockets.monitor, signal);
    try {
      await qmp.run('stop');
      await saveMemory(qmp, sockets.memory, uid, join(staging, 'memory'), signal);
    } finally {
      qmp.close();
    }
    await endMachine(processFile, uid);
    await rename(join(staging, 'memory'), path);
    await removeOldest(options.directory);
    return path;
  } finally {
    await endMachine(processFile, options.uid);
    await rm(staging, { recursive: true, force: true });
    await rm(run, { recursive: true, force: true });
  }
}

/**
 * What every sandbox does at its beginning is done once here, so that the runner has its code compiled: under an identity that
 * nobody else knows and with a program of the frame that the guest is in.
 */
async function rehearse(channel: GuestChannel, signal: AbortSignal): Promise<void> {
  const token = randomBytes(32).toString('hex');
  await channel.identify({ token, env: {} }, signal);
  await waitForHealth(() => channel.dial(signal), signal);
  const runner = createRunnerClient({ dial: () => channel.dial(signal), token });
  try {
    for (let round = 0; round < 3; round++) {
      await runner.exec({ argv: ['/berth/init/busybox', 'true'], cwd: '/', timeoutMs: rehearsalMs }, signal);
    }
  } finally {
    runner.close();
  }
}

const rehearsalMs = 30_000;

async function removeOldest(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => !name.startsWith('.'));
  const aged = await Promise.all(names.map(async (name) => ({ name, usedMs: (await stat(join(directory, name))).mtimeMs })));
  for (const { name } of aged.toSorted((a, b) => b.usedMs - a.usedMs).slice(kept)) await rm(join(directory, name), { force: true });
}
