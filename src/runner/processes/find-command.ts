import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * The file that `execvp` would take for `command`. Throws an errno error (`ENOENT`, `EACCES`) when there is
 * none: a terminal's child fails after the fork, where nobody learns why.
 */
export function findCommand(command: string, path: string, cwd: string): string {
  if (!statSync(cwd).isDirectory()) throw errno('ENOTDIR', cwd);
  if (command.includes('/')) return checkExecutable(resolve(cwd, command));
  let found: unknown = errno('ENOENT', command);
  for (const directory of path.split(':')) {
    try {
      return checkExecutable(resolve(cwd, directory, command));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') found = error;
    }
  }
  throw found;
}

function checkExecutable(file: string): string {
  if (!statSync(file).isFile()) throw errno('EACCES', file);
  accessSync(file, constants.X_OK);
  return file;
}

function errno(code: string, subject: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${subject}`), { code });
}
