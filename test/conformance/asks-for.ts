const asked = (process.env['BERTH_TEST_PROVIDERS'] ?? '').split(',');

/** Whether `BERTH_TEST_PROVIDERS` names it: what is too slow, or too rarely there, for every run. */
export function asksFor(provider: 'crun' | 'docker-runsc' | 'firecracker' | 'podman' | 'rootless' | 'runsc'): boolean {
  return asked.includes(provider);
}
