import { access, constants } from 'node:fs/promises';

export const kvmDevice = '/dev/kvm';

/** Why no guest can run; `null` when the device is there, which does not prove that one boots. */
export async function findKvmProblem(device: string): Promise<string | null> {
  return access(device, constants.R_OK | constants.W_OK).then(
    () => null,
    () => `there is no ${device}`,
  );
}
