import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { client } from '../api.ts';

export interface Suggestion {
  /** What takes the place of the word that is being typed. */
  insert: string;
  label: string;
  hint: string;
}

/** The word before the caret, when it asks for something: `/` at the start of a prompt, `@` anywhere. */
export function wordAt(text: string, caret: number): { start: number; word: string } | null {
  const start = Math.max(text.lastIndexOf(' ', caret - 1), text.lastIndexOf('\n', caret - 1)) + 1;
  const word = text.slice(start, caret);
  if (word.startsWith('@')) return { start, word };
  return word.startsWith('/') && start === 0 ? { start, word } : null;
}

const maxShown = 8;

/** The agent's slash commands, and the files of the workspace. */
export function useSuggestions(
  sessionId: string,
  commands: readonly { name: string; description: string }[],
  word: string | null,
): readonly Suggestion[] {
  const wantsFiles = word?.startsWith('@') ?? false;
  const files = useQuery({
    queryKey: ['file-names', sessionId],
    enabled: wantsFiles,
    staleTime: 15_000,
    queryFn: async ({ signal }) => {
      const output = await client.sessions.exec(
        sessionId,
        {
          argv: [
            'sh',
            '-c',
            'git ls-files -z -co --exclude-standard 2>/dev/null || find . -type f -not -path "*/.git/*" -print0',
          ],
          timeoutMs: 10_000,
        },
        { signal },
      );
      return new TextDecoder().decode(output.stdout).split('\0').filter(Boolean).slice(0, 20_000);
    },
  });
  return useMemo(() => {
    if (word === null) return [];
    const wanted = word.slice(1).toLowerCase();
    if (word.startsWith('/')) {
      return commands
        .filter((command) => command.name.toLowerCase().includes(wanted))
        .slice(0, maxShown)
        .map((command) => ({ insert: `/${command.name} `, label: `/${command.name}`, hint: command.description }));
    }
    return (files.data ?? [])
      .filter((path) => path.toLowerCase().includes(wanted))
      .toSorted((a, b) => a.length - b.length)
      .slice(0, maxShown)
      .map((path) => ({ insert: `@${path} `, label: sanitizeLine(path), hint: '' }));
  }, [word, commands, files.data]);
}
