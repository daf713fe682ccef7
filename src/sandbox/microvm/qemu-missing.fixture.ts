import { asksFor } from '../../../test/conformance/asks-for.ts';
import { findProgram } from '../find-program.ts';
import { findGuestKernel } from './guest-kernel.ts';

/** Whether this run asks for what takes minutes without KVM, as every machine translates its kernel and Node anew. */
export const wantsQemu = asksFor('qemu');

/** What tests with QEMU's machines lack here; `null` where they can run. Both come with `scripts/setup.sh test`. */
export async function missingForQemu(): Promise<string | null> {
  for (const program of ['qemu-system-x86_64', 'qemu-img']) if ((await findProgram(program)) === null) return program;
  return (await findGuestKernel()) === null ? 'a guest kernel' : null;
}
