import { usageError } from './failure.ts';
import { rawMode } from './terminal.ts';

const maxLength = 32_768;

/**
 * A secret from standard input: typed unseen where that is a terminal, else read to its end. Never from the command
 * line, which other users of the machine can read.
 */
export async function readSecret(question: string): Promise<string> {
  const text = process.stdin.isTTY ? await typed(question) : await piped();
  if (text === '') throw usageError('nothing was given: type it, or pipe it in', 'secret');
  return text;
}

async function piped(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > maxLength) throw usageError(`a secret has at most ${maxLength} characters`, 'secret');
  }
  return text.trim();
}

async function typed(question: string): Promise<string> {
  process.stderr.write(`${question}: `);
  using _raw = rawMode();
  let text = '';
  try {
    for await (const chunk of process.stdin.setEncoding('utf8')) {
      for (const key of String(chunk)) {
        if (key === '\r' || key === '\n') return text.trim();
        if (key === '\u0003') throw usageError('interrupted', 'secret');
        text = key === '\u007f' ? text.slice(0, -1) : (text + key).slice(0, maxLength);
      }
    }
    return text.trim();
  } finally {
    process.stderr.write('\n');
    process.stdin.pause();
  }
}
