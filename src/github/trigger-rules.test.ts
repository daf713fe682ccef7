import { describe, expect, test } from 'vitest';
import { lineComment } from './candidate.ts';
import { isMentioned } from './trigger-rules.ts';

describe('a mention', () => {
  test.each([
    '@berth please',
    'Hey @Berth, look',
    'Could you (@berth) do it?',
    'line one\n@berth.',
    '> quoted\n\n@berth yes',
    '```\ncode\n```\n@berth',
    'an `inline` word, then @berth!',
  ])('speaks to us: %j', (text) => expect(isMentioned(text, '@berth')).toBe(true));

  test.each([
    '',
    'berth',
    '> @berth please',
    '   > @berth',
    'mail a@berth.dev',
    'me@berth',
    '@berth-two',
    '@berth/team',
    '@berthold',
    '@@berth',
    '`@berth`',
    '``a ` @berth``',
    '```\n@berth\n```',
    '~~~\n```\n@berth\n~~~',
    '````\n```\n@berth',
    '<!-- @berth -->',
    '<!-- @berth',
  ])('does not: %j', (text) => expect(isMentioned(text, '@berth')).toBe(false));

  test('a large text is read through; were that quadratic, the time limit would end it', () => {
    expect(isMentioned('`'.repeat(30_000) + '> <!-- '.repeat(5_000), '@berth')).toBe(false);
  });
});

test('the lines of a review cannot end their fence', () => {
  const text = lineComment({ body: 'b', path: 'a.md', line: null, original_line: 3, diff_hunk: '+````\n+hello' });
  expect(text).toBe('On a.md:3:\n\n`````diff\n+````\n+hello\n`````\n\nb');
});
