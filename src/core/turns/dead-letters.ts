import { isErrorCode, type ErrorCode } from '../../protocol/errors.ts';

/**
 * A turn that the platform failed is a dead letter: kept with its reason until a person replays it. That is every
 * turn that the server itself ended as failed, whether retries were used up (`unavailable`) or could not help
 * (`repository_not_found`: the repository may come back). Of the ends that a runner reports, it is those that the
 * agent has no part in; a turn that the agent failed, refused or was stopped in is none.
 */
export function isPlatformFailure(code: string): boolean {
  return isErrorCode(code) && platformCodes.includes(code);
}

const platformCodes: readonly ErrorCode[] = [
  'internal',
  'unavailable',
  'timeout',
  'sandbox_lost',
  'resource_exhausted',
];
