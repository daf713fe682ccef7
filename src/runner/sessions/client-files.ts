import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute } from 'node:path';
import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { errnoOf } from '../errno.ts';
import { replaceFile } from './atomic-write.ts';
import { isInside, makeDirectories, openDirectory, realPathOf, realRoots, statLink } from './real-path.ts';

const maxFileBytes = 10 * 1024 * 1024;
const newFileMode = 0o644;

export const readTextFileRequest = z.looseObject({
  path: z.string().min(1).max(4096),
  /** From 1. */
  line: z.number().int().nonnegative().nullish(),
  limit: z.number().int().nonnegative().nullish(),
});
export type ReadTextFileRequest = z.infer<typeof readTextFileRequest>;

export const writeTextFileRequest = z.looseObject({
  path: z.string().min(1).max(4096),
  content: z.string().max(maxFileBytes),
});
export type WriteTextFileRequest = z.infer<typeof writeTextFileRequest>;

/**
 * ACP's `fs/*` of the client, for agents that use them without being offered them (opencode). Only below
 * the session's directory and HOME, by real path, so that the runner does nothing for an agent that
 * the agent may not do. Throws `path_not_allowed`, `not_found`, `payload_too_large`.
 */
export interface ClientFiles {
  read(request: ReadTextFileRequest): Promise<string>;
  write(request: WriteTextFileRequest): Promise<void>;
}

export function createClientFiles(roots: readonly string[]): ClientFiles {
  return {
    async read({ path, line, limit }) {
      requireAbsolute(path);
      // Without O_NONBLOCK opening a pipe would wait for its writer.
      const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
        throw fileError(error, path);
      });
      try {
        const stat = await handle.stat();
        if (!stat.isFile() || !isInside(await realPathOf(handle), await realRoots(roots))) throw notAllowed(path);
        if (stat.size > maxFileBytes)
          throw new BerthError('payload_too_large', `${path} exceeds ${maxFileBytes} bytes`);
        return selectLines(await handle.readFile('utf8'), line ?? null, limit ?? null);
      } finally {
        await handle.close();
      }
    },

    async write({ path, content }) {
      requireAbsolute(path);
      try {
        const allowed = await realRoots(roots);
        const target = (await statLink(path)) === null ? path : await realpath(path);
        const parent = await makeDirectories(dirname(target), (realPath) => isInside(realPath, allowed));
        await using directory = await openDirectory(parent);
        if (!isInside(directory.realPath, allowed)) throw notAllowed(path);
        const existing = await statLink(directory.viaHandle(basename(target)));
        if (existing !== null && !existing.isFile()) throw notAllowed(path);
        await replaceFile(
          directory,
          basename(target),
          content,
          existing === null ? newFileMode : existing.mode & 0o777,
        );
      } catch (error) {
        throw fileError(error, path);
      }
    },
  };
}

/** Lines from `line` (counted from 1) on, at most `limit`; the whole text without either. */
export function selectLines(text: string, line: number | null, limit: number | null): string {
  if (line === null && limit === null) return text;
  const start = Math.max(0, (line ?? 1) - 1);
  const lines = text.split(/(?<=\n)/);
  return lines.slice(start, limit === null ? undefined : start + limit).join('');
}

function requireAbsolute(path: string): void {
  if (!isAbsolute(path) || path.includes('\0')) throw notAllowed(path);
}

function notAllowed(path: string): BerthError {
  return new BerthError('path_not_allowed', `not a file of this session: ${path}`);
}

function fileError(error: unknown, path: string): BerthError {
  if (error instanceof BerthError) return error;
  const code = errnoOf(error);
  if (code === 'ENOENT') return new BerthError('not_found', `no such file: ${path}`, { cause: error });
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new BerthError('resource_exhausted', `the disk is full: ${path}`, { cause: error });
  return new BerthError('path_not_allowed', `${path} cannot be used (${code})`, { cause: error });
}
