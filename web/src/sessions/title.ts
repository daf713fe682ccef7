import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session } from '../../../src/sdk/index.ts';

/** What a person calls a session. */
export function titleOf(session: Pick<Session, 'title' | 'repository' | 'id'>): string {
  return sanitizeLine(session.title) || repositoryName(session.repository) || `Session ${session.id.slice(-6)}`;
}

/** `owner/name` of a clone URL. */
export function repositoryName(url: string | null): string {
  if (url === null) return '';
  const path = URL.canParse(url) ? new URL(url).pathname : url;
  return sanitizeLine(
    path
      .replace(/\.git$/, '')
      .split('/')
      .filter(Boolean)
      .slice(-2)
      .join('/'),
  );
}
