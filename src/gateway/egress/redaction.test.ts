import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRedaction } from './redaction.ts';

test('a needle is found however the body is cut, and nothing else is changed', async () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(word, fc.constant('aabaabab')), { maxLength: 8 }), fc.nat(), async (parts, cut) => {
      const body = Buffer.from(parts.join(''));
      const at = cut % (body.length + 1);
      const out = Readable.from([body.subarray(0, at), body.subarray(at)]).pipe(createRedaction(['aabaabab']));
      const seen = Buffer.concat(await Array.fromAsync(out as AsyncIterable<Buffer>)).toString();
      expect(seen).toBe(body.toString().replaceAll('aabaabab', '********'));
    }),
  );
});

test('only what may be the beginning of a needle waits for more', async () => {
  const redaction = createRedaction(['secret-value']);
  redaction.write('data: hello\n\n');
  expect(String(redaction.read())).toBe('data: hello\n\n');
  redaction.write('data: sec');
  expect(String(redaction.read())).toBe('data: ');
  redaction.end('ond');
  expect(Buffer.concat(await Array.fromAsync(redaction as AsyncIterable<Buffer>)).toString()).toBe('second');
});
