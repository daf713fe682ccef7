import { expect, test } from 'vitest';
import { parseShallowJson } from './shallow-json.ts';

const nested = (depth: number, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth);

test('gives what JSON.parse gives, and its error', () => {
  for (const value of [null, 1, 'a "quoted" \\ [[[', { a: [1, { b: '}' }] }, '['.repeat(1000), `${'"\\'.repeat(500)}[`, { '[[{"': ']' }]) {
    expect(parseShallowJson(JSON.stringify(value))).toEqual(value);
  }
  for (const text of ['', '{', '"open', '"\\', 'nope']) expect(() => parseShallowJson(text)).toThrow(SyntaxError);
});

test('what is nested deeper than anything that is read is refused, also behind strings that hide it', () => {
  expect(parseShallowJson(nested(64))).toHaveLength(1);
  expect(() => parseShallowJson(nested(65))).toThrow('nested deeper');
  expect(() => parseShallowJson(nested(5000))).toThrow('nested deeper');
  expect(() => parseShallowJson(`{"a\\\\":${nested(64, '{"b":', '}').replace('}', '1}')}}`)).toThrow('nested deeper');
  expect(() => parseShallowJson('['.repeat(4 * 1024 ** 2))).toThrow('nested deeper');
});
