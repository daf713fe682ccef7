import { basename, dirname, normalize } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import type { AgentSessionSpec } from '../../protocol/runner-api.ts';
import { replaceFile } from './atomic-write.ts';
import { makeDirectories, openDirectory, statLink } from './real-path.ts';

const fileMode = 0o600;

/**
 * Writes an agent's settings files, readable by their owner only. The agent can write to these places
 * too, so a symlink anywhere in a path is refused with `path_not_allowed` naming the field.
 */
export async function writeSettingsFiles(files: AgentSessionSpec['files']): Promise<void> {
  for (const [i, file] of files.entries()) {
    try {
      await writeSettingsFile(file);
    } catch (cause) {
      const code = cause instanceof BerthError ? cause.code : 'path_not_allowed';
      const reason = cause instanceof BerthError ? cause.message : `(${(cause as NodeJS.ErrnoException).code})`;
      const message = `the settings file ${file.path} could not be written: ${reason}`;
      throw new BerthError(code, message, { field: `files.${i}.path`, cause });
    }
  }
}

async function writeSettingsFile(file: AgentSessionSpec['files'][number]): Promise<void> {
  const path = normalize(file.path);
  const parent = dirname(path);
  const refuse = () => new BerthError('path_not_allowed', 'a symlink or something other than a file is in the way');
  await makeDirectories(parent, (realPath) => realPath === parent);
  await using directory = await openDirectory(parent);
  if (directory.realPath !== parent) throw refuse();
  const existing = await statLink(directory.viaHandle(basename(path)));
  if (existing !== null && !existing.isFile()) throw refuse();
  if (existing !== null && !file.overwrite) return;
  await replaceFile(directory, basename(path), file.content, fileMode);
}
