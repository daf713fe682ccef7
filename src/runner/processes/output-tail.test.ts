import fc from 'fast-check';
import { expect, it } from 'vitest';
import { frameType } from '../../protocol/frames.ts';
import { OutputTail } from './output-tail.ts';

const types = [frameType.stdout, frameType.stderr] as const;

it('keeps the newest bytes, in order, with their streams, in bounded memory', () => {
  const write = fc.record({ type: fc.constantFrom(...types), bytes: fc.uint8Array({ maxLength: 3000 }) });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 60 }), fc.nat(60_000), (writes, from) => {
      const tail = new OutputTail(16 * 1024);
      const expected: number[] = [];
      for (const { type, bytes } of writes) {
        tail.append(type, Buffer.from(bytes));
        for (const byte of bytes) expected.push((type << 8) | byte);
      }
      expect(tail.end).toBe(expected.length);
      const first = Math.min(Math.max(from, tail.start), tail.end);
      const kept = tail.from(from).flatMap(({ type, bytes }) => [...bytes].map((byte) => (type << 8) | byte));
      expect(kept).toEqual(expected.slice(first));
      expect(tail.costBytes).toBeLessThanOrEqual(16 * 1024 + 3500);
    }),
    { numRuns: 200 },
  );
});

it('is bounded against a flood of tiny alternating writes', () => {
  const tail = new OutputTail(64 * 1024);
  for (let i = 0; i < 50_000; i++) tail.append(types[i % 2]!, Buffer.from('x'));
  expect(tail.end).toBe(50_000);
  expect(tail.costBytes).toBeLessThanOrEqual(64 * 1024);
});
