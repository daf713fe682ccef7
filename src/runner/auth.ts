import { BerthError } from '../protocol/errors.ts';

/**
 * A check of `authorization: Bearer <token>` whose time does not depend on where a wrong token differs.
 * By hand: `node:crypto` costs a megabyte for its one function.
 */
export function createAuthorizer(token: string): (header: string | undefined) => void {
  const expected = Buffer.from(`Bearer ${token}`);
  return (header) => {
    const given = Buffer.from(header ?? '');
    let difference = expected.length ^ given.length;
    for (let i = 0; i < expected.length; i++) difference |= expected[i]! ^ (given[i] ?? 0);
    if (difference !== 0) throw new BerthError('unauthorized', 'the runner token is missing or wrong');
  };
}
