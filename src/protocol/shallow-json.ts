/** Nothing that Berth reads is deeper; what agents send is held to half of it by the runner. */
const maxDepth = 64;

/**
 * As `JSON.parse`, of what hostile programs write. Throws `SyntaxError` for what is nested deeper than anything that Berth reads: the engine
 * takes a second for each megabyte of opening brackets, during which nothing else happens.
 */
export function parseShallowJson(text: string): unknown {
  if (isDeep(text)) throw new SyntaxError(`nested deeper than ${maxDepth}`);
  return JSON.parse(text) as unknown;
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [34, 92, 91, 93, 123, 125];

function isDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at);
    } else if (code === openBracket || code === openBrace) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (code === closeBracket || code === closeBrace) {
      depth -= 1;
    }
  }
  return false;
}

/** Where the string that begins at `at` ends, or the text. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes += 1;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}
