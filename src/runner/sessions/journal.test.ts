import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { JournalEvent, JournalEventData } from '../../protocol/events.ts';
import { systemClock } from './clock.ts';
import { Journal } from './journal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-journal-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = () => new Journal(directory, systemClock);
const log = (message: string): JournalEventData => ({ type: 'agent.log', data: { level: 'info', message } });
const durable = { durable: true };
const plain = { durable: false };

async function readAll(journal: Journal, from = 0): Promise<JournalEvent[]> {
  const parts: Buffer[] = [];
  let offset = journal.offsetAfter(from);
  for (let bytes = await journal.read(offset); bytes.length > 0; bytes = await journal.read(offset)) {
    parts.push(bytes);
    offset += bytes.length;
  }
  const text = Buffer.concat(parts).toString('utf8');
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as JournalEvent);
}

test('numbers events from 1 and keeps its id over reopening', async () => {
  const first = open();
  expect(first.append(null, log('a'), plain)).toBe(1);
  expect(first.append('trn_1', log('b'), durable)).toBe(2);
  await first.close();
  const second = open();
  expect(second.journalId).toBe(first.journalId);
  expect(second.append(null, log('c'), plain)).toBe(3);
  const events = await readAll(second);
  expect(events.map(({ seq, turnId, data }) => [seq, turnId, data])).toEqual([
    [1, null, log('a').data],
    [2, 'trn_1', log('b').data],
    [3, null, log('c').data],
  ]);
  await second.close();
});

test('is served from any seq, whatever the sizes of the events', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 9, arbitrary: fc.nat(50) }, { weight: 1, arbitrary: fc.nat(600_000) }), {
        minLength: 1,
        maxLength: 200,
      }),
      fc.nat(),
      async (sizes, start) => {
        const path = mkdtempSync(join(directory, 'p'));
        const journal = new Journal(path, systemClock);
        for (const size of sizes) journal.append('ü"\\', log('x'.repeat(size)), plain);
        const from = start % (sizes.length + 1);
        const expected = sizes.slice(from).map((size, i) => [from + i + 1, size]);
        const seen = (await readAll(journal, from)).map(({ seq, data }) => [
          seq,
          (data as { message: string }).message.length,
        ]);
        await journal.close();
        rmSync(path, { recursive: true });
        expect(seen).toEqual(expected);
      },
    ),
    { numRuns: 30 },
  );
});

test('hides a durable event, and what follows it, until the disk has it', async () => {
  const journal = open();
  journal.append(null, log('a'), plain);
  journal.append(null, log('b'), durable);
  journal.append(null, log('c'), plain);
  expect(journal.lastSeq).toBe(1);
  expect(await readAll(journal)).toHaveLength(1);
  const woken = journal.waitBeyond(journal.visibleEnd, new AbortController().signal);
  await journal.sync();
  await woken;
  expect(journal.lastSeq).toBe(3);
  expect(await readAll(journal)).toHaveLength(3);
  await journal.close();
});

test.each([
  ['half a line', '{"seq":3,"at":"2026-01-01T00:00:00.000Z","tur'],
  [
    'a line that lost its middle',
    '{"seq":3,"at":"2026-01-01T00:00:00.000Z","turnId":null,"type":"agent.log","data":{"le\n',
  ],
  ['a block of zeros', '\0'.repeat(4096)],
  ['a number that was used', '{"seq":2,"at":"2026-01-01T00:00:00.000Z","turnId":null,"type":"agent.log","data":{}}\n'],
])('cuts a torn tail: %s', async (_name, tail) => {
  const first = open();
  first.append(null, log('a'), plain);
  first.append(null, log('b'), plain);
  await first.close();
  appendFileSync(join(directory, 'journal.jsonl'), tail);
  const second = open();
  expect(second.tornBytes).toBe(tail.length);
  expect(second.append(null, log('c'), plain)).toBe(3);
  expect((await readAll(second)).map(({ data }) => data)).toEqual(['a', 'b', 'c'].map((text) => log(text).data));
  await second.close();
});

test('numbers go on far ahead after a crash of the machine, which may have lost served events', async () => {
  const first = open();
  first.append(null, log('a'), plain);
  await first.close();
  const head = join(directory, 'head.json');
  writeFileSync(head, readFileSync(head, 'utf8').replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
  const second = open();
  const seq = second.append(null, log('b'), plain);
  expect(seq).toBeGreaterThan(100_000);
  expect((await readAll(second, 500)).map((event) => event.seq)).toEqual([seq]);
  await second.close();
});

test('a reader waits for more and is let go by its signal', async () => {
  const journal = open();
  const gone = new AbortController();
  const waiting = journal.waitBeyond(0, gone.signal);
  gone.abort();
  await waiting;
  const woken = journal.waitBeyond(0, new AbortController().signal);
  journal.append(null, log('a'), plain);
  await woken;
  await journal.close();
});
