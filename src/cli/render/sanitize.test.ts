import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { safeJson, sanitize, sanitizeLine } from './sanitize.ts';

const esc = '\u001b';

describe('sanitize', () => {
  test.each([
    ['plain text, tabs and lines stay', 'a\tb\nc', 'a\tb\nc'],
    ['letters of any script stay', 'héllo 日本 🎉 👩‍👩‍👧', 'héllo 日本 🎉 👩‍👩‍👧'],
    ['colours go', `${esc}[1;31mred${esc}[0m`, 'red'],
    ['cursor movement and erasing go', `${esc}[2J${esc}[1;1Hforged`, 'forged'],
    ['a title goes', `${esc}]0;evil\u0007ok`, 'ok'],
    ['the clipboard is not set', `${esc}]52;c;ZXZpbA==${esc}\\ok`, 'ok'],
    ['a link goes, its text stays', `${esc}]8;;http://evil${esc}\\text${esc}]8;;${esc}\\`, 'text'],
    ['a device control string goes', `${esc}P$q"p${esc}\\ok`, 'ok'],
    ['a reset goes', `${esc}cok`, 'ok'],
    ['an unfinished sequence is made visible', `${esc}]0;never closed`, '␛]0;never closed'],
    ['a lone escape is made visible', `end${esc}`, 'end␛'],
    ['8-bit controls are made visible', '\u009b31mred', '\\u{9b}31mred'],
    ['bells and backspaces are made visible', 'a\u0007b\u0008c', 'a␇b␈c'],
    ['Windows line ends are line ends', 'a\r\nb', 'a\nb'],
    ['a carriage return cannot overwrite the line', 'rm -rf /\rls', 'rm -rf /\nls'],
    ['bidirectional marks are made visible', 'a\u202egnp.exe', 'a\\u{202e}gnp.exe'],
    ['invisible tag characters are made visible', 'a\u{e0041}', 'a\\u{e0041}'],
    ['half a surrogate pair is replaced', 'a\ud800b', 'a\ufffdb'],
  ])('%s', (_name, dirty, clean) => {
    expect(sanitize(dirty)).toBe(clean);
  });

  test('nothing that a terminal acts on is ever left, and doing it twice changes nothing', () => {
    const hostile = fc.array(
      fc.oneof(
        fc.constantFrom(
          esc,
          '[',
          ']',
          '\\',
          '\u0007',
          '\u009b',
          '\u009d',
          'P',
          '_',
          '^',
          ';',
          '1',
          'm',
          '\r',
          '\n',
          '\u202e',
        ),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(hostile, (parts) => {
        const clean = sanitize(parts.join(''));
        // oxlint-disable-next-line no-control-regex -- the characters that must not be there
        expect(clean).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
        expect(sanitize(clean)).toBe(clean);
      }),
    );
  });

  test('removing one sequence cannot make another', () => {
    expect(sanitize(`${esc}${esc}[0m[31mred`)).not.toContain(esc);
  });

  // Were the work quadratic in the length, the test's own time limit would end it.
  test.each([']', '[', 'P'])('a megabyte of unfinished sequences of %s is worked through', (kind) => {
    expect(sanitize(`${esc}${kind}`.repeat(500_000))).not.toContain(esc);
  });
});

test('sanitizeLine gives one line', () => {
  expect(sanitizeLine('  a\n\tb  \r\n c ')).toBe('a b c');
});

test('safeJson reads back the same and holds nothing that a terminal acts on', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = safeJson({ text });
      expect(JSON.parse(json)).toEqual({ text });
      // oxlint-disable-next-line no-control-regex -- the characters that must not be there
      expect(json).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
    }),
  );
});
