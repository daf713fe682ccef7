import * as packet from 'dns-packet';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutForUdp, failedAnswer } from './messages.ts';

const ask = (name: string, size?: number): Buffer =>
  packet.encode({
    type: 'query',
    id: 7,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: 'TXT', name }],
    additionals: size === undefined ? [] : [{ type: 'OPT', name: '.', udpPayloadSize: size, flags: 0, options: [], extendedRcode: 0, ednsVersion: 0, flag_do: false }],
  });
const answerOf = (query: Buffer, bytes: number): Buffer =>
  packet.encode({ ...packet.decode(query), type: 'response', additionals: [], answers: [{ type: 'TXT', name: 'a.test', data: ['x'.repeat(bytes / 3), 'y'.repeat(bytes / 3), 'z'.repeat(bytes / 3)] }] });

test('an answer that is too long for the asker tells it to come by TCP, with its question', () => {
  for (const [query, long, isCut] of [[ask('a.test'), 600, true], [ask('a.test'), 300, false], [ask('a.test', 1232), 600, false], [ask('a.test', 550), 600, true], [ask('a.test', 10), 600, true]] as const) {
    const answer = answerOf(query, long);
    const sent = cutForUdp(query, answer);
    if (!isCut) expect(sent).toBe(answer);
    else expect(packet.decode(sent)).toMatchObject({ type: 'response', id: 7, flag_tc: true, rcode: 'NOERROR', questions: [{ name: 'a.test' }], answers: [], additionals: [] });
  }
});

test('a failure is told to the same question', () => {
  expect(packet.decode(failedAnswer(ask('b.test', 1232)))).toMatchObject({ type: 'response', id: 7, rcode: 'SERVFAIL', questions: [{ name: 'b.test', type: 'TXT' }], answers: [] });
});

test('what is no question gets no answer, and nothing throws', () => {
  expect(failedAnswer(Buffer.from('nonsense'))).toHaveLength(0);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const query = Buffer.from(bytes);
      expect(failedAnswer(query).length).toBeLessThanOrEqual(query.length);
      expect(cutForUdp(query, Buffer.alloc(2000)).length).toBeGreaterThan(0);
    }),
  );
});
