import fc from 'fast-check';
import { expect, it } from 'vitest';
import { execRequest, processSpec } from '../protocol/runner-api.ts';
import { isPlainExec, isPlainProcess, parseExecRequest } from './validate.ts';

const odd = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.constant(undefined), fc.double());
const text = fc.oneof(fc.string(), fc.base64String(), fc.constantFrom('/', '/a', 'A=', '=', 'QQ=='));
const request = fc.record(
  {
    argv: fc.oneof(fc.array(fc.oneof(fc.string(), odd), { maxLength: 3 }), odd),
    cwd: fc.oneof(text, odd),
    env: fc.oneof(fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('A', '_b1')), fc.oneof(fc.string(), odd)), odd),
    stdin: fc.oneof(text, fc.boolean(), odd),
    timeoutMs: odd,
    maxOutputBytes: odd,
    pty: fc.oneof(fc.record({ cols: fc.integer({ min: -1, max: 1001 }), rows: odd }), odd),
    other: odd,
  },
  { requiredKeys: [] },
);

it('accepts by hand nothing that the schema refuses', () => {
  fc.assert(
    fc.property(fc.oneof(request, odd), (value) => {
      if (isPlainExec(value)) expect(execRequest.safeParse(value).success).toBe(true);
      if (isPlainProcess(value)) expect(processSpec.safeParse(value).success).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

it('takes ordinary requests the short way', () => {
  expect(
    isPlainExec({ argv: ['ls'], cwd: '/x', env: { A: 'b' }, stdin: 'QQ==', timeoutMs: 5, maxOutputBytes: 5 }),
  ).toBe(true);
  expect(isPlainProcess({ argv: ['sh'], pty: { cols: 80, rows: 24 }, stdin: true })).toBe(true);
});

it('names the field at fault', async () => {
  await expect(parseExecRequest({ argv: ['a', 1] })).rejects.toMatchObject({
    code: 'invalid_request',
    field: 'argv.1',
  });
});
