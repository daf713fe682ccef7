/**
 * Text from agents, repositories and servers is hostile to a terminal: escape sequences can rewrite
 * what is on the screen, set the clipboard or forge an answer, and bidirectional marks can make a
 * command read as another. Whatever `berth` prints for people goes through here; only the raw
 * streams of `exec` and `shell` do not.
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
const unseen = /[\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/gu;

/** Text safe to print: lines and tabs stay, colours go, every other control is made visible. */
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

/** JSON that is safe on a terminal and unchanged in meaning: what JSON leaves raw is escaped too. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(unseen, (char) =>
    Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  );
}
