import { expect, it } from 'vitest';
import { matchPattern } from './router.ts';

it.each([
  ['/a', '/a', {}],
  ['/a', '/a/', null],
  ['/a/:id', '/a/b%2Fc', { id: 'b/c' }],
  ['/a/:id', '/a/', null],
  ['/a/:id', '/a/b/c', null],
  ['/a/:id/x/:other', '/a/1/x/2', { id: '1', other: '2' }],
  ['/a/:id/x', '/a/1/y', null],
])('matches %s with %s', (pattern, path, params) => {
  expect(matchPattern(pattern, path)).toEqual(params);
});
