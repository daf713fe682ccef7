import { expect, test } from 'vitest';
import { errnoOf } from './errno.ts';
import { fileError } from './files/errors.ts';

/** As Node reports what its table of errors does not have: by a file call, and by a stream. */
const byCall = Object.assign(new Error('Unknown system error -122, open'), { code: 'Unknown system error -122', errno: -122 });
const byStream = Object.assign(new Error('UNKNOWN: unknown error, write'), { code: 'UNKNOWN', errno: -122 });

test('a disk limit is known by its number', () => {
  expect([byCall, byStream, Object.assign(new Error(), { code: 'ENOSPC', errno: -28 }), new Error('x'), null].map(errnoOf)).toEqual(['EDQUOT', 'EDQUOT', 'ENOSPC', undefined, undefined]);
  expect(fileError(byCall, '/home/user/a')).toMatchObject({ code: 'resource_exhausted', message: '/home/user/a does not fit into the disk limit' });
});
