import { constants } from 'node:os';

/** The name of a system error, or `undefined` for any other. EDQUOT, a disk limit's refusal, is one that Node has no name for. */
export function errnoOf(error: unknown): string | undefined {
  const { code, errno } = (error ?? {}) as NodeJS.ErrnoException;
  return errno === -constants.errno.EDQUOT ? 'EDQUOT' : code;
}
