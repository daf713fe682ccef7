import { parseDiff, tokenize, type FileData, type HunkTokens } from 'react-diff-view';
import { sanitize } from '../../../src/protocol/inert-text.ts';
import type { Highlight } from '../conversation/highlight.ts';

/** The files of a patch. One that cannot be read leaves the list of files, which does not come from it. */
export function filesOf(patch: string): FileData[] {
  try {
    return parseDiff(patch, { nearbySequences: 'zip' }).map((file) => ({
      ...file,
      hunks: file.hunks.map((hunk) => ({
        ...hunk,
        changes: hunk.changes.map((change) => ({ ...change, content: inertLine(change.content) })),
      })),
    }));
  } catch {
    return [];
  }
}

/** A file's name as the list of files has it. */
export function pathOf(file: FileData): string {
  return readName(file.type === 'delete' ? file.oldPath : file.newPath);
}

const escapes: Record<string, string> = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/**
 * The parser leaves names as git writes them: with a tab behind one that has a space, and one with any other than plain letters in
 * quotes, its bytes in octal. Of `"b/name"` it takes two characters away, as it does of `b/name`.
 */
function readName(written: string): string {
  if (!written.endsWith('"')) return written.replace(/\t$/, '');
  const inner = written.slice(1, -1);
  const bytes: number[] = [];
  for (const [, octal, escaped, plain] of inner.matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else bytes.push(...new TextEncoder().encode(escaped === undefined ? plain : (escapes[escaped] ?? escaped)));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** A line of code may hold what a terminal obeys and what reads backwards; its indentation stays. */
function inertLine(content: string): string {
  return sanitize(content.replace(/\r$/, '')).replaceAll('\n', '␍');
}

/** Beyond these, colours cost more than they tell. The viewer makes a line of its own for every line before the last hunk. */
const maxChars = 60_000;
const maxLine = 20_000;

export function isColourable(file: FileData): boolean {
  const last = file.hunks.at(-1);
  if (last === undefined || Math.max(last.oldStart + last.oldLines, last.newStart + last.newLines) > maxLine) return false;
  let chars = 0;
  for (const { changes } of file.hunks) for (const { content } of changes) chars += content.length;
  return chars <= maxChars;
}

/** Both sides of a file's hunks as coloured lines: text and classes, never HTML. */
export function colour(file: FileData, language: string, highlight: Highlight): HunkTokens | null {
  try {
    const grammar = { highlight: (text: string) => highlight(language, text) ?? [{ type: 'text' as const, value: text }] };
    // The viewer is made for refractor's trees; of these it reads the class names alone, and those are the same.
    return tokenize(file.hunks, { highlight: true, language, refractor: grammar as never });
  } catch {
    return null;
  }
}
