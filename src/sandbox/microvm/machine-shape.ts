import { z } from 'zod';
import type { NetworkMode, SandboxLimits } from '../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../protocol/errors.ts';
import { runnerNodeFlags } from '../../protocol/runner-launch.ts';
import type { RunnerLayer } from '../runner-layer/runner-layer.ts';
import type { Template } from '../templates/template.ts';
import type { GuestKernel } from './guest-kernel.ts';
import type { Images } from './images.ts';

/** What a machine is made of. Kept, so that a sandbox's memory always meets the machine that it is of. */
export const machineShape = z.object({
  kernel: z.string(),
  initramfs: z.string(),
  rootImage: z.string(),
  runnerImage: z.string(),
  vcpus: z.number(),
  memoryMib: z.number(),
  diskBytes: z.number(),
  /** Whether it has a network card. */
  card: z.boolean().default(false),
});
export type MachineShape = z.infer<typeof machineShape>;

export interface ShapeParts {
  kernel: GuestKernel;
  images: Images;
  layer: RunnerLayer;
}

const mebibyte = 1024 ** 2;
/** Below this no guest boots. */
const minMemoryBytes = 256 * mebibyte;
/** What the kernel and the init have for themselves. */
const reservedMib = 80;

/** What a machine for these limits is made of; builds the images that are not there. */
export async function shapeFor(
  parts: ShapeParts,
  template: Template,
  { limits, network }: { limits: SandboxLimits; network: NetworkMode },
  signal: AbortSignal,
): Promise<MachineShape> {
  const { kernel, images, layer } = parts;
  const [rootImage, runnerImage] = [await images.root(template, signal), await images.runner(layer, signal)];
  return {
    kernel: kernel.kernel,
    initramfs: kernel.initramfs,
    rootImage,
    runnerImage,
    vcpus: limits.cpus,
    memoryMib: Math.floor(limits.memoryBytes / mebibyte),
    diskBytes: limits.diskBytes,
    card: network === 'full',
  };
}

/** Throws `invalid_request` for limits that no machine has. */
export function checkMachineLimits({ cpus, memoryBytes }: SandboxLimits): void {
  if (!Number.isInteger(cpus)) {
    throw new BerthError('invalid_request', `a machine has whole processors, not ${cpus}`, { field: 'limits.cpus' });
  }
  if (memoryBytes < minMemoryBytes) {
    throw new BerthError('invalid_request', `a machine needs at least ${minMemoryBytes} bytes of memory`, {
      field: 'limits.memoryBytes',
    });
  }
}

/** What the init takes from the kernel's command line. */
export function guestSettings(shape: MachineShape): string {
  const card = shape.card ? ' berth.card=1' : '';
  return `berth.memory=${(shape.memoryMib - reservedMib) * mebibyte} berth.node=${runnerNodeFlags.join(',')}${card}`;
}
