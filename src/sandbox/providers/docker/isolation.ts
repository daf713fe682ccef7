import type { SandboxCapabilities } from '../../../core/ports/sandbox-provider.ts';

/** By the name of the engine's runtime, however it goes on. */
export function isolationOf(runtime: string | null): SandboxCapabilities['isolation'] {
  if (runtime === null) return 'namespaces';
  if (runtime.startsWith('runsc')) return 'user-kernel';
  return runtime.startsWith('kata') ? 'vm' : 'namespaces';
}
