/**
 * Whether `text` fits `pattern` from end to end. `*` stands for any text without the separator, `**` for any text, and
 * `**` with a separator behind it for nothing too; every other character stands for itself. The time is the product of both lengths,
 * whatever they are: texts come from agents, patterns from anybody who may have a session.
 */
export function fitsPattern(pattern: string, text: string, separator: string | null = null): boolean {
  const tokens = tokensOf(pattern, separator);
  /** Where in the tokens one may be, before each character. */
  let at = withSkips(new Set([0]), tokens);
  for (const character of text) {
    const next = new Set<number>();
    for (const index of at) {
      const token = tokens[index];
      if (token === undefined) continue;
      if (token.kind === 'text') {
        if (token.character === character) next.add(index + 1);
      } else if (token.kind === 'all' || character !== separator) {
        next.add(index);
      }
    }
    if (next.size === 0) return false;
    at = withSkips(next, tokens);
  }
  return at.has(tokens.length);
}

type Token = { kind: 'text'; character: string } | { kind: 'part' | 'all'; skips: number };

function tokensOf(pattern: string, separator: string | null): Token[] {
  const tokens: Token[] = [];
  const characters = [...pattern];
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index]!;
    if (character !== '*') {
      tokens.push({ kind: 'text', character });
      continue;
    }
    let stars = 1;
    while (characters[index + 1] === '*') {
      stars += 1;
      index += 1;
    }
    const isAll = stars > 1 && separator !== null;
    const before = characters[index - stars];
    // `a/**/b` fits `a/b`: nothing, and no separator.
    const startsPart = before === undefined || before === separator;
    tokens.push({ kind: isAll ? 'all' : 'part', skips: isAll && startsPart && characters[index + 1] === separator ? 2 : 1 });
  }
  return tokens;
}

/** With the places behind stars that stand for nothing. */
function withSkips(at: Set<number>, tokens: readonly Token[]): Set<number> {
  // A set tells what is added while it is walked.
  for (const index of at) {
    const token = tokens[index];
    if (token === undefined || token.kind === 'text') continue;
    at.add(index + 1);
    if (token.skips === 2) at.add(index + 2);
  }
  return at;
}
