import { expect, test } from 'vitest';
import type { Item } from '../items.ts';
import { forkPointOf } from './fork-point.ts';

const prompt = (key: string): Item => ({ kind: 'prompt', key, turnId: key, at: '', by: 'ada', parts: [], queue: null });
const end = (key: string): Item => ({ kind: 'end', key, outcome: 'completed', tookMs: 1, tokens: 0, stopReason: null, error: null });
const snapshot = (key: string): Item => ({ kind: 'snapshot', key, snapshotId: `snp_${key}`, name: key, at: '', by: 'ada' });

test('a turn can be gone back to by the snapshot taken after it, the last one by the present, any other not', () => {
  const items = [prompt('1'), end('2'), snapshot('3'), prompt('4'), end('5'), prompt('6'), snapshot('7'), end('8')];
  const there = new Set(['snp_3', 'snp_7']);
  expect(forkPointOf(items, '2', there)).toEqual({ kind: 'snapshot', snapshotId: 'snp_3' });
  // A snapshot in the middle of the next turn has more than this one's end.
  expect(forkPointOf(items, '5', there)).toEqual({ kind: 'none' });
  expect(forkPointOf(items, '8', there)).toEqual({ kind: 'present' });
  expect(forkPointOf(items, '2', new Set())).toEqual({ kind: 'none' });
  expect(forkPointOf(items, 'nowhere', there)).toEqual({ kind: 'none' });
});
