import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { systemPath } from './run-command.ts';

/** The absolute path of a program on the system's path, or `null`. */
export async function findProgram(name: string): Promise<string | null> {
  for (const directory of systemPath.split(':')) {
    const path = join(directory, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not there: the next directory.
    }
  }
  return null;
}
