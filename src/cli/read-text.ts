import { usageError } from './failure.ts';

/**
 * A prompt from the command line's words, or from standard input when there are none (or a single
 * `-`) and something is piped in.
 */
export async function promptFrom(words: readonly string[]): Promise<string> {
  const fromInput = words.length === 0 || (words.length === 1 && words[0] === '-');
  if (!fromInput) return words.join(' ');
  if (process.stdin.isTTY) throw usageError('no prompt: give it as an argument, or pipe it in', 'prompt');
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8').trim();
  if (text === '') throw usageError('the prompt is empty', 'prompt');
  return text;
}
