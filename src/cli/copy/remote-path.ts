import { posix } from 'node:path';
import { BerthError } from '../../sdk/index.ts';

/** `ses_x:/path`: a path in a session. Relative ones start at the session's directory. */
export interface RemotePath {
  sessionId: string;
  path: string;
}

/** `null` for a path on this machine. */
export function parseRemote(text: string): RemotePath | null {
  const match = /^(ses_[0-9a-z]+):(.*)$/s.exec(text);
  return match === null ? null : { sessionId: match[1] ?? '', path: match[2] ?? '' };
}

export function absoluteRemote(path: string, cwd: string): string {
  return posix.resolve(cwd, path);
}

/**
 * A name that a sandbox gave to a file, before it becomes part of a path on this machine. The
 * sandbox is not trusted: a name that leads elsewhere is refused.
 */
export function checkedName(name: string): string {
  if (name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name)) {
    throw new BerthError(
      'upstream_failed',
      `the sandbox has a file name that cannot be used here: ${JSON.stringify(name)}`,
    );
  }
  return name;
}
