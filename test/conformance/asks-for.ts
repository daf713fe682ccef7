const asked = (process.env['BERTH_TEST_PROVIDERS'] ?? '').split(',');

/** Whether `BERTH_TEST_PROVIDERS` names it: what is too slow, or too rarely there, for every run. */
export function asksFor(provider: 'crun' | 'firecracker' | 'podman' | 'qemu' | 'rootless' | 'runsc'): boolean {
  return asked.includes(provider);
}
