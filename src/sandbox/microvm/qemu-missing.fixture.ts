import { findProgram } from '../find-program.ts';
import { findGuestKernel } from './guest-kernel.ts';

/** What tests with QEMU's machines lack here; `null` where they can run. Both come with `scripts/setup.sh test`. */
export async function missingForQemu(): Promise<string | null> {
  for (const program of ['qemu-system-x86_64', 'qemu-img']) if ((await findProgram(program)) === null) return program;
  return (await findGuestKernel()) === null ? 'a guest kernel' : null;
}
