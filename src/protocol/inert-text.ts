/**
 * Text from agents, repositories and servers is hostile to who shows it: escape sequences can rewrite
 * what is on a terminal, set the clipboard or forge an answer, and bidirectional marks can make a
 * command read as another, on a page too.
 */

const esc = '\u001b';
/** Sequences that can be removed whole: CSI (colours, cursor), OSC (titles, links, clipboard), DCS and the like, two-byte escapes. */
const sequences = new RegExp(
  [
    `${esc}\\[[0-?]*[ -/]*[@-~]`,
    `${esc}\\][^\\u0007${esc}]*(?:\\u0007|${esc}\\\\)`,
    `${esc}[PX^_][^${esc}]*${esc}\\\\`,
    `${esc}[ -/]*[0-OQ-WYZ\\\\\`-~]`,
  ].join('|'),
  'g',
);
/** C0 controls but tab and line feed; they are shown as their pictures in Unicode. */
// oxlint-disable-next-line no-control-regex -- finding control characters is what this file is for
const c0 = /[\u0000-\u0008\u000b-\u001f]/g;
/** DEL, C1 controls (a terminal may read them as escapes), line separators, bidirectional marks, tag characters. */
export const unseen =
  /[\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/gu;

/** Text safe to show: lines and tabs stay, colours go, every other control is made visible. */
export function sanitize(text: string): string {
  return text
    .toWellFormed()
    .replace(/\r+\n/g, '\n')
    .replace(sequences, '')
    .replace(/\r/g, '\n')
    .replace(c0, (char) => String.fromCodePoint(0x2400 + char.codePointAt(0)!))
    .replace(unseen, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** The same on one line: titles, names, ids. */
export function sanitizeLine(text: string): string {
  return sanitize(text).replace(/\s+/g, ' ').trim();
}
