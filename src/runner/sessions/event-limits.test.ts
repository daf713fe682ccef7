import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AgentUpdate, JournalEventData } from '../../protocol/events.ts';
import { cutText, limitEvent, maxEventBytes, maxTextLength, splitChunk } from './event-limits.ts';

const update = (fields: Record<string, unknown>): JournalEventData => ({
  type: 'agent.update',
  data: {
    update: { sessionUpdate: 'tool_call_update', toolCallId: 'c1', status: 'completed', ...fields } as AgentUpdate,
  },
});
const sizeOf = (event: JournalEventData) => Buffer.byteLength(JSON.stringify(event));

test('leaves an ordinary event as it is', () => {
  const event = update({
    content: [{ type: 'content', content: { type: 'text', text: 'x'.repeat(1000) } }],
    rawOutput: { exitCode: 0, nothing: null },
  });
  expect(limitEvent(event)).toEqual(event);
});

test('cuts the middle of a long output and says how much', () => {
  const text = `begin${'x'.repeat(3_000_000)}end`;
  const cut = cutText(text, maxTextLength);
  expect(cut.startsWith('begin')).toBe(true);
  expect(cut.endsWith('end')).toBe(true);
  expect(cut).toMatch(/\[\.\.\. \d+ characters cut by Berth \.\.\.\]/);
});

test.each([
  ['many long texts', update({ rawOutput: Array.from({ length: 50 }, () => 'x'.repeat(200_000)) })],
  ['texts that grow in JSON', update({ rawOutput: Array.from({ length: 5 }, () => '\u0001'.repeat(250_000)) })],
  ['endless structure', update({ rawOutput: Array.from({ length: 400_000 }, (_, i) => ({ i })) })],
  ['long keys', update({ rawOutput: { ['k'.repeat(2_000_000)]: 1 } })],
  [
    'a large image',
    update({
      content: [{ type: 'content', content: { type: 'image', mimeType: 'image/png', data: 'A'.repeat(5_000_000) } }],
    }),
  ],
  [
    'config',
    {
      type: 'agent.config',
      data: {
        modeId: null,
        modes: [],
        options: Array.from({ length: 50_000 }, (_, i) => ({ id: `o${i}`, name: 'x'.repeat(30) })),
      },
    },
  ],
] satisfies [string, JournalEventData][])('brings %s below the limit', (_name, event) => {
  const limited = limitEvent(event);
  expect(sizeOf(limited)).toBeLessThan(maxEventBytes);
  expect(limited.type).toBe(event.type);
  if (limited.type === 'agent.update')
    expect(limited.data.update).toMatchObject({ toolCallId: 'c1', status: 'completed' });
});

test('a nested bomb does not overflow the stack', () => {
  let value: unknown = 1;
  for (let i = 0; i < 5000; i += 1) value = [value];
  expect(JSON.stringify(limitEvent(update({ rawOutput: value })))).toContain('nested too deep');
});

test('splits a long message without losing or breaking a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 3 }), (seed, pad) => {
      const text = 'a'.repeat(pad) + `${seed}😀`.repeat(Math.ceil(600_000 / (seed.length + 2)));
      const parts = splitChunk({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
      const texts = parts.map((part) => (part['content'] as { text: string }).text);
      expect(texts.join('')).toBe(text);
      expect(texts.every((part) => part.length <= maxTextLength && (part.isWellFormed() || !text.isWellFormed()))).toBe(
        true,
      );
    }),
    { numRuns: 20 },
  );
});
