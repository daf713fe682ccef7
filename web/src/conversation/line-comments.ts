import { useSyncExternalStore } from 'react';

/** A remark at a line of a diff; it goes along with the next prompt. */
export interface LineComment {
  id: string;
  path: string;
  line: number;
  side: 'old' | 'new';
  code: string;
  text: string;
}

const bySession = new Map<string, readonly LineComment[]>();
const listeners = new Set<() => void>();
const none: readonly LineComment[] = [];

function change(sessionId: string, comments: readonly LineComment[]): void {
  bySession.set(sessionId, comments);
  for (const listener of listeners) listener();
}

export function useLineComments(sessionId: string): readonly LineComment[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => bySession.get(sessionId) ?? none,
  );
}

export function addLineComment(sessionId: string, comment: Omit<LineComment, 'id'>): void {
  change(sessionId, [...(bySession.get(sessionId) ?? none), { ...comment, id: crypto.randomUUID() }]);
}

export function removeLineComment(sessionId: string, id: string): void {
  change(
    sessionId,
    (bySession.get(sessionId) ?? none).filter((comment) => comment.id !== id),
  );
}

export function clearLineComments(sessionId: string): void {
  change(sessionId, none);
}

/** As an agent reads it: where, the line itself, and what was said. */
export function commentsAsText(comments: readonly LineComment[]): string {
  return comments
    .map(
      (comment) =>
        `In ${comment.path}, line ${comment.line}${comment.side === 'old' ? ' (before the change)' : ''}:\n> ${comment.code.trim()}\n${comment.text}`,
    )
    .join('\n\n');
}
