import type { SandboxCapabilities, SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';

type Persistence = Pick<
  SandboxProvider,
  'pause' | 'resume' | 'hibernate' | 'wake' | 'snapshot' | 'listSnapshots' | 'deleteSnapshot' | 'fork'
>;

export const noPersistenceCapabilities = {
  pause: 'none',
  hibernate: 'none',
  snapshot: 'none',
  fork: 'none',
} as const satisfies Partial<SandboxCapabilities>;

/** For a driver that can only stop and start: every call is refused, nothing degrades in silence. */
export function refusePersistence(provider: string): Persistence {
  const refuse = (operation: string) => () =>
    Promise.reject(new BerthError('unsupported', `the provider ${provider} cannot ${operation} sandboxes`));
  return {
    pause: refuse('pause'),
    resume: refuse('resume'),
    hibernate: refuse('hibernate'),
    wake: refuse('wake'),
    snapshot: refuse('snapshot'),
    listSnapshots: async () => [],
    deleteSnapshot: refuse('snapshot'),
    fork: refuse('fork'),
  };
}
