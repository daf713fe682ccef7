import { expect, test } from 'vitest';
import { renderDiffStat, renderPatch } from './diff.ts';
import { renderFindings } from './findings.ts';
import { renderLogLine } from './log-line.ts';
import { chooseByPolicy, keyOptions } from './permission.ts';
import { createStyle, wantsColor } from './style.ts';
import { renderTable } from './table.ts';
import { formatAge, formatBytes, formatCount, formatDuration, parseBytes } from './units.ts';
import { columns, truncate, wrap } from './width.ts';

const plain = createStyle(false);

test('durations, counts and sizes', () => {
  expect([0, 850, 1234, 9949, 12_400, 200_000, 3_600_000, 273_600_000].map(formatDuration)).toEqual([
    '0 ms',
    '850 ms',
    '1.2 s',
    '9.9 s',
    '12 s',
    '3 min 20 s',
    '1 h',
    '3 d 4 h',
  ]);
  expect([999, 3420, 120_400, 1_234_567].map(formatCount)).toEqual(['999', '3.4k', '120k', '1.2M']);
  expect([512, 1536, 20 * 1024 ** 2, 2 * 1024 ** 3].map(formatBytes)).toEqual(['512 B', '1.5 KiB', '20 MiB', '2 GiB']);
  expect(['512m', '2g', '1.5GiB', '100', 'lots', ''].map(parseBytes)).toEqual([
    512 * 1024 ** 2,
    2 * 1024 ** 3,
    1.5 * 1024 ** 3,
    100,
    null,
    null,
  ]);
  expect(formatAge(new Date(0).toISOString(), 1000)).toBe('now');
  expect(formatAge(new Date(0).toISOString(), 400_000)).toBe('6 min');
});

test('widths count columns, not characters', () => {
  expect(columns('日本')).toBe(4);
  expect(columns('e\u0301')).toBe(1);
  expect(truncate('日本語です', 6)).toBe('日本…');
  expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrap('averyverylongword x', 6)).toEqual(['averyv', 'erylon', 'gword', 'x']);
});

test('a table fits its width', () => {
  const rows = [
    { id: 'ses_1', title: 'a title that goes on and on and on' },
    { id: 'ses_22', title: 'short' },
  ];
  const table = renderTable(
    rows,
    [
      { title: 'SESSION', value: (row) => row.id },
      { title: 'TITLE', value: (row) => row.title, shrink: true },
    ],
    30,
    plain,
  );
  expect(table).toBe('SESSION  TITLE\nses_1    a title that goes on…\nses_22   short\n');
});

test('a patch is coloured by what its lines mean, also where content looks like a header', () => {
  const style = createStyle(true);
  const patch = 'diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- gone\n+++ new\n same\u001b[2J\r\n';
  const lines = renderPatch(patch, style).split('\n');
  expect(lines[1]).toBe(style.dim('--- a/x'));
  expect(lines[4]).toBe(style.red('--- gone'));
  expect(lines[5]).toBe(style.green('+++ new'));
  expect(lines[6]).toBe(' same␍');
});

test('a diff in numbers', () => {
  const diff = {
    baseCommit: null,
    patch: '',
    truncated: false,
    files: [
      { path: 'src/a.ts', from: null, status: 'modified' as const, additions: 3, deletions: 1 },
      { path: 'logo.png', from: null, status: 'added' as const, additions: null, deletions: null },
      { path: 'new.md', from: 'old.md', status: 'renamed' as const, additions: 0, deletions: 0 },
    ],
  };
  expect(renderDiffStat(diff, plain, 80)).toMatchInlineSnapshot(`
    "  M src/a.ts          +3 -1
      A logo.png          binary
      R old.md -> new.md  +0 -0
      3 files changed, +3 -1
    "
  `);
});

test('findings fit 80 columns', () => {
  const text = renderFindings(
    [
      {
        subject: 'runtime',
        status: 'ok',
        detected: 'runc 1.1.5, crun 1.8.1',
        choice: 'runc: works with both cgroup hierarchies',
        advice: null,
      },
      {
        subject: 'checkpoint',
        status: 'degraded',
        detected: 'CRIU 3.17, which does not start on kernel 6.18',
        choice: 'hibernate is off: idle sandboxes are stopped and keep only their disk',
        advice: 'install CRIU 4 or newer, then run berth doctor again to see whether it starts',
      },
      {
        subject: 'KVM',
        status: 'missing',
        detected: 'no /dev/kvm',
        choice: 'no virtual machines',
        advice: 'turn on nested virtualization',
      },
    ],
    plain,
    80,
  );
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(text).toMatchInlineSnapshot(`
    "✔ runtime     runc 1.1.5, crun 1.8.1
                  runc: works with both cgroup hierarchies
    ! checkpoint  CRIU 3.17, which does not start on kernel 6.18
                  hibernate is off: idle sandboxes are stopped and keep only their
                  disk
                  → install CRIU 4 or newer, then run berth doctor again to see
                    whether it starts
    ✗ KVM         no /dev/kvm
                  no virtual machines
                  → turn on nested virtualization

    1 ok, 1 degraded, 1 missing
    "
  `);
});

test('an event on one line', () => {
  const event = {
    sessionId: 'ses_1',
    seq: 12,
    at: '2026-01-02T03:04:05.000Z',
    turnId: null,
    type: 'session.status' as const,
    data: { status: 'idle' as const, reason: null },
  };
  expect(renderLogLine(event, plain, 80)).toBe('   12  03:04:05  session.status        status=idle');
});

test('permission options get keys, and policies choose by kind', () => {
  const option = (
    optionId: string,
    kind: 'allow_once' | 'allow_always' | 'reject_once',
  ): { optionId: string; name: string; kind: typeof kind } => ({ optionId, name: optionId, kind });
  const all = [
    option('1', 'allow_always'),
    option('2', 'allow_once'),
    option('3', 'allow_once'),
    option('4', 'reject_once'),
  ];
  expect(keyOptions(all).map(({ key }) => key)).toEqual(['a', 'y', '3', 'n']);
  expect(chooseByPolicy(all, 'once')).toBe('2');
  expect(chooseByPolicy(all, 'always')).toBe('1');
  expect(chooseByPolicy(all, 'reject')).toBe('4');
  // One grant never becomes a lasting one; a lasting one may become one.
  expect(chooseByPolicy([option('1', 'allow_always')], 'once')).toBeNull();
  expect(chooseByPolicy([option('2', 'allow_once')], 'always')).toBe('2');
  expect(chooseByPolicy([option('2', 'allow_once')], 'reject')).toBeNull();
});

test('colours only where a person sees them', () => {
  expect(wantsColor({ isTTY: true }, {})).toBe(true);
  expect(wantsColor({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
  expect(wantsColor({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
  expect(wantsColor({}, {})).toBe(false);
});
