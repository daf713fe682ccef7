import { expect, test } from 'vitest';
import type { AgentUpdate } from '../../protocol/events.ts';
import { ChunkMerger } from './chunk-merger.ts';
import type { Clock } from './clock.ts';
import { FloodLimit } from './flood-limit.ts';
import { LineSplitter } from './line-splitter.ts';
import { OpenTools } from './open-tools.ts';

/** A clock that stands until it is moved. */
class StandingClock implements Clock {
  nowMs = 0;
  readonly #sleepers: { at: number; wake: () => void }[] = [];

  now(): Date {
    return new Date(this.nowMs);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((wake) => this.#sleepers.push({ at: this.nowMs + delayMs, wake }));
  }

  async advance(ms: number): Promise<void> {
    this.nowMs += ms;
    for (const sleeper of this.#sleepers) if (sleeper.at <= this.nowMs) sleeper.wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const chunk = (text: string, more: object = {}): AgentUpdate => ({
  sessionUpdate: 'agent_message_chunk',
  content: { type: 'text', text },
  ...more,
});

test('chunks: the first passes at once, those that follow within the window are one', async () => {
  const clock = new StandingClock();
  const out: AgentUpdate[] = [];
  const merger = new ChunkMerger(clock, (update) => out.push(update));
  for (const text of ['a', 'b', 'c']) merger.push(chunk(text));
  expect(out).toEqual([chunk('a')]);
  await clock.advance(30);
  expect(out).toEqual([chunk('a'), chunk('bc')]);
  await clock.advance(30);
  merger.push(chunk('d'));
  expect(out.at(-1)).toEqual(chunk('d'));
});

test('chunks: nothing overtakes, and other messages are not joined', () => {
  const out: AgentUpdate[] = [];
  const merger = new ChunkMerger(new StandingClock(), (update) => out.push(update));
  const image = chunk('', { content: { type: 'image', data: '' } });
  const tool: AgentUpdate = { sessionUpdate: 'tool_call', toolCallId: 'x' };
  const thought = { ...chunk('t'), sessionUpdate: 'agent_thought_chunk' };
  const sent = [
    chunk('a'),
    chunk('b'),
    tool,
    chunk('c', { messageId: '1' }),
    chunk('d', { messageId: '2' }),
    thought,
    image,
  ];
  for (const update of sent) merger.push(update);
  expect(out).toEqual(sent);
});

test('flood: a second’s worth at once, then as time passes; bytes and logs until the turn is over', () => {
  const clock = new StandingClock();
  const flood = new FloodLimit(clock, { eventsPerSecond: 10, eventsPerTurn: 100, bytesPerTurn: 1000, logsPerTurn: 2 });
  const admitted = (count: number, size = 1, isLog = false) =>
    Array.from({ length: count }, () => flood.admit(size, isLog));
  expect(admitted(11)).toEqual([...Array.from({ length: 10 }, () => null), 'rate']);
  clock.nowMs = 500;
  expect(admitted(6).filter((reason) => reason === null)).toHaveLength(5);
  clock.nowMs = 5000;
  expect(admitted(3, 1, true)).toEqual([null, null, 'logs']);
  expect(admitted(2, 600)).toEqual([null, 'bytes']);
  expect([flood.announce('bytes'), flood.announce('bytes')]).toEqual([true, false]);
  flood.reset();
  expect(admitted(1, 600)).toEqual([null]);
  expect(flood.announce('bytes')).toBe(true);
  const few = new FloodLimit(clock, { eventsPerSecond: 10, eventsPerTurn: 2, bytesPerTurn: 1000, logsPerTurn: 2 });
  expect([1, 2, 3].map(() => few.admit(1, false))).toEqual([null, null, 'events']);
});

test('tools: what readers see as open is closed, with the end that was dropped where it is known', () => {
  const tools = new OpenTools();
  const tool = (toolCallId: string, status?: string, sessionUpdate = 'tool_call_update'): AgentUpdate => ({
    sessionUpdate,
    toolCallId,
    status,
  });
  tools.observe(tool('a', undefined, 'tool_call'), true);
  tools.observe(tool('b', 'pending', 'tool_call'), true);
  tools.observe(tool('b', 'completed'), false);
  tools.observe(tool('c', 'in_progress', 'tool_call'), true);
  tools.observe(tool('c', 'failed'), true);
  tools.observe(tool('d', 'pending', 'tool_call'), false);
  tools.observe(tool('e'), true);
  expect(tools.close(true).map(({ toolCallId, status }) => [toolCallId, status])).toEqual([
    ['a', 'failed'],
    ['b', 'completed'],
  ]);
  expect(tools.close(true)).toEqual([]);
});

test('lines: cut anywhere, an oversized one is skipped whole and told once', () => {
  const lines: string[] = [];
  let oversized = 0;
  const splitter = new LineSplitter({
    maxLineBytes: 8,
    onLine: (line) => lines.push(line.toString()),
    onOversized: () => (oversized += 1),
  });
  for (const byte of Buffer.from('one\n\n12345678\n123456789 and more\ntwo\nlast')) splitter.push(Buffer.from([byte]));
  splitter.push(Buffer.from('\n123456789\nend'));
  splitter.end();
  expect(lines).toEqual(['one', '12345678', 'two', 'last', 'end']);
  expect(oversized).toBe(2);
});
