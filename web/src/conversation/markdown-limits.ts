/** Above this, a text is read faster as it was written. */
const maxChars = 100_000;
/** Marks that may open something, between two blank lines: what the parser does grows with their square. */
const maxMarks = 1_000;
const maxMarksInAll = 20_000;
/** Quotes and lists in each other: the parser and the page go down into each. */
const maxDepth = 20;
const maxIndent = 80;

const mark = /[*_~`[\]!<>&@|\\]/g;
const containers = /^(?:[ \t]|>|[*+-](?=[ \t>]|$)|\d{1,9}[.)](?=[ \t>]|$))*/;
const fence = /^(`{3,}(?=[^`]*$)|~{3,})/;

/**
 * Whether a text can be read as Markdown within what a page may take. Five kilobytes of `>` hold a browser up for ten
 * seconds, and an agent may write what it likes. What is refused here is shown as it was written.
 */
export function isTameMarkdown(text: string): boolean {
  if (text.length > maxChars) return false;
  // Inside raw HTML a fence is none, and what follows it is no code.
  const fencesCount = !/^[ \t]*</m.test(text);
  let marks = 0;
  let marksInAll = 0;
  let open: string | null = null;
  for (const line of text.split('\n')) {
    if (open !== null) {
      const closing = line.trim();
      if (/^ {0,3}[`~]/.test(line) && closing.length >= open.length && closing === open[0]!.repeat(closing.length)) open = null;
      continue;
    }
    // At the very beginning of a line a fence ends every quote and list, so it is one for the parser too.
    const opening = fencesCount ? fence.exec(line)?.[1] : undefined;
    if (opening !== undefined) {
      open = opening;
      marks = 0;
      continue;
    }
    const prefix = containers.exec(line)![0];
    const markers = prefix.replace(/[ \t\d]/g, '').length;
    if (markers > maxDepth || prefix.length - markers > maxIndent) return false;
    const here = line.match(mark)?.length ?? 0;
    marks = line.trim() === '' ? 0 : marks + here;
    marksInAll += here;
    if (marks > maxMarks || marksInAll > maxMarksInAll) return false;
  }
  return true;
}
