import { BerthError } from '../protocol/errors.ts';

/**
 * A check of `authorization: Bearer <token>` whose time does not depend on where a wrong token differs.
 * By hand: `node:crypto` costs a megabyte for its one function.
 */
export function createAuthorizer(token: () => string | null): (header: string | undefined) => void {
  return (header) => {
    const known = token();
    // Nobody can have it yet.
    if (known === null) throw new BerthError('unauthorized', 'the runner has not been told its token yet');
    const expected = Buffer.from(`Bearer ${known}`);
    const given = Buffer.from(header ?? '');
    let difference = expected.length ^ given.length;
    for (let i = 0; i < expected.length; i++) difference |= expected[i]! ^ (given[i] ?? 0);
    if (difference !== 0) throw new BerthError('unauthorized', 'the runner token is missing or wrong');
  };
}
