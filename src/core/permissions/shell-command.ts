/** One program with its arguments, of a command line. */
export interface CommandPart {
  words: string[];
  /** What it reads from and writes to by redirection. */
  redirections: string[];
}

const maxLength = 10_000;
const maxParts = 50;

/** First words that are syntax, or that run or change something other than what they name. */
const notPrograms = new Set(
  (
    'if then else elif fi for while until do done case esac in select function time coproc { } [[ ]] ! ' +
    'eval exec source . command builtin alias unalias export declare typeset local readonly set unset shopt enable ' +
    'trap hash pushd popd env nohup nice timeout stdbuf setsid xargs parallel sudo doas su chroot unshare nsenter ' +
    'bash sh zsh dash ash ksh fish busybox script expect watch flock strace ltrace gdb ionice chrt taskset'
  ).split(' '),
);

/** Arguments by which a program runs what its other arguments say. */
const runners: Readonly<Record<string, readonly string[]>> = {
  find: ['-exec', '-execdir', '-ok', '-okdir', '-fprint', '-fprintf', '-fls', '-delete'],
  fd: ['-x', '-X', '--exec', '--exec-batch'],
  python: ['-c'],
  python3: ['-c'],
  node: ['-e', '-p', '--eval', '--print', '-pe'],
  deno: ['eval'],
  bun: ['-e', '--eval'],
  perl: ['-e', '-E'],
  ruby: ['-e'],
  php: ['-r'],
  awk: [],
  gawk: [],
  sed: [],
};

/**
 * The programs that a command line runs, all of them; `null` for one that is not understood for certain, which then
 * nobody but a person allows. Understood are words, plain quotes, redirections to files, and `&&`, `||`, `;`, `|` and line ends between
 * programs. Not: variables and substitutions, groups, background jobs, here-documents, assignments, names that begin with a
 * pattern (they may expand to an option), a `cd` that is not first and followed by `&&`, shells and other programs that run what their arguments say.
 */
export function parseCommand(text: string): CommandPart[] | null {
  if (text.length > maxLength) return null;
  const parts: CommandPart[] = [];
  let part: CommandPart = { words: [], redirections: [] };
  let at = 0;

  const endPart = (next: string): boolean => {
    if (part.words.length === 0 || parts.length >= maxParts || !isPlain(part)) return false;
    // Only then is it certain where what follows runs.
    if (part.words[0] === 'cd' && (parts.length > 0 || next !== '&&' || !isPlainMove(part))) return false;
    parts.push(part);
    part = { words: [], redirections: [] };
    return true;
  };

  while (at < text.length) {
    const rest = text.slice(at, at + 3);
    const character = rest[0]!;
    if (character === ' ' || character === '\t') {
      at += 1;
    } else if (rest.startsWith('&&') || rest.startsWith('||')) {
      if (!endPart(rest.slice(0, 2))) return null;
      at += 2;
      if (isBlank(text.slice(at))) return null;
    } else if (character === '|') {
      if (rest[1] === '&' || !endPart('|')) return null;
      at += 1;
      if (isBlank(text.slice(at))) return null;
    } else if (character === ';' || character === '\n') {
      if (rest.startsWith(';;')) return null;
      // Empty lines are nothing; `; ;` is an error of the shell.
      if (part.words.length === 0 && part.redirections.length === 0 && character === '\n') at += 1;
      else if (endPart(character)) at += 1;
      else return null;
    } else {
      const redirection = /^(?:[12]?>>?|&>>?|<)(?![<>&|(])/.exec(text.slice(at, at + 8));
      const duplicate = /^(?:2>&1|1>&2|>&2)(?=[\s;|&]|$)/.exec(text.slice(at, at + 8));
      if (duplicate !== null) {
        at += duplicate[0].length;
        continue;
      }
      if (redirection !== null) {
        at += redirection[0].length;
        while (text[at] === ' ' || text[at] === '\t') at += 1;
      }
      const word = readWord(text, at);
      if (word === null) return null;
      at = word.end;
      if (redirection !== null) {
        if (word.hasPattern) return null;
        part.redirections.push(word.value);
      } else {
        if (part.words.length === 0 && word.hasPattern) return null;
        if (word.hasPattern && word.value.startsWith('-')) return null;
        part.words.push(word.value);
      }
    }
  }
  if (part.words.length > 0 || part.redirections.length > 0) return endPart('') ? parts : null;
  return parts.length === 0 ? null : parts;
}

/** A command that an agent gives as a list of words; a shell's `-c` is looked into. */
export function parseArgv(argv: readonly string[]): CommandPart[] | null {
  const [program = '', flag = '', script] = argv;
  if (/^(?:\/(?:usr\/)?bin\/)?(?:ba|z|da)?sh$/.test(program) && /^-l?c$/.test(flag)) {
    return argv.length === 3 && script !== undefined ? parseCommand(script) : null;
  }
  const part = { words: [...argv], redirections: [] };
  return argv.length > 0 && argv.length <= 4096 && argv.every((word) => !/[\u0000-\u001f]/.test(word)) && isPlain(part) ? [part] : null;
}

/** The name under which a program is known, without the place that it lies at. */
export function programOf(word: string): string {
  return word.slice(word.lastIndexOf('/') + 1);
}

/** Whether it runs the program that it names, and nothing that its arguments name. */
function isPlain({ words }: CommandPart): boolean {
  const [first = '', ...rest] = words;
  const program = programOf(first);
  // An assignment before a program changes what it is or does.
  if (program === '' || /^[A-Za-z_]\w*\+?=/.test(first) || notPrograms.has(program)) return false;
  if (!Object.hasOwn(runners, program)) return true;
  const flags = runners[program]!;
  // The programs of awk and sed can run others and write files.
  return flags.length > 0 && !rest.some((word) => flags.some((flag) => word === flag || (flag.length === 2 && word.startsWith(flag))));
}

function isPlainMove({ words, redirections }: CommandPart): boolean {
  return words.length === 2 && redirections.length === 0 && !/^[-~]|[*?]/.test(words[1]!);
}

/** Characters that a shell gives a meaning, wherever they are outside quotes. */
const special = new Set([...'$`(){}<>&|;#!"\'\\*?[]~^=%', ' ', '\t', '\n']);

/** One word from `at` on; `null` where it is not understood. */
function readWord(text: string, at: number): { value: string; end: number; hasPattern: boolean } | null {
  let value = '';
  let hasPattern = false;
  let isQuoted = false;
  let end = at;
  while (end < text.length) {
    const character = text[end]!;
    if (/[\s;&|<>]/.test(character)) {
      // Other white space than blanks may be a part of a word to the shell and a gap to a reader.
      if (!/[ \t\n;&|<>]/.test(character)) return null;
      break;
    }
    if (character === "'") {
      const close = text.indexOf("'", end + 1);
      if (close < 0) return null;
      value += text.slice(end + 1, close);
      isQuoted = true;
      end = close + 1;
    } else if (character === '"') {
      const quoted = /^"((?:[^"\\$`!]|\\["\\])*)"/.exec(text.slice(end));
      if (quoted === null) return null;
      value += quoted[1]!.replace(/\\(["\\])/g, '$1');
      isQuoted = true;
      end += quoted[0].length;
    } else if (character === '\\') {
      const next = text[end + 1];
      if (next === undefined || next === '\n' || next === '\r') return null;
      value += next;
      isQuoted = true;
      end += 2;
    } else if (character === '*' || character === '?') {
      if (value === '') return null;
      hasPattern = true;
      value += character;
      end += 1;
    } else if (character === '~') {
      if (value !== '' || (text[end + 1] !== '/' && !/^[\s;&|<>]?$/.test(text[end + 1] ?? ''))) return null;
      value += character;
      end += 1;
    } else if (character === '=' || character === '%' || character === '^') {
      value += character;
      end += 1;
    } else if (special.has(character) || character < ' ' || character > '~') {
      return null;
    } else {
      value += character;
      end += 1;
    }
  }
  // The number of what is redirected, not a word.
  if (/^\d+$/.test(value) && (text[end] === '>' || text[end] === '<')) return null;
  // Control characters hide from whoever reads the log what the shell reads.
  if (/[\u0000-\u001f\u007f]/.test(value) || (value === '' && !isQuoted)) return null;
  return { value, end, hasPattern };
}

function isBlank(text: string): boolean {
  return /^\s*$/.test(text);
}
