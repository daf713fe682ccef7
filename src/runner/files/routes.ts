import { closeSync, createReadStream, mkdirSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { BerthError } from '../../protocol/errors.ts';
import { bodyOf, sendJson, sendNoContent, type Route, type RouteContext } from '../router.ts';
import { countStreamed } from '../streamed-memory.ts';
import { isRecord } from '../validate.ts';
import { fileError } from './errors.ts';
import { listDirectory, readInfo } from './info.ts';
import { createLocator, openRegularFile, type Locate } from './locate.ts';
import { movePath } from './move.ts';
import { readFlag, readInteger, readPath } from './query.ts';
import { removeTree } from './remove.ts';
import { openReplacement } from './replace.ts';

const readChunkBytes = 256 * 1024;

/** The `/files` routes. Every path is confined to `roots`; see `locate.ts`. */
export async function createFileRoutes(roots: readonly string[]): Promise<Route[]> {
  const locate = createLocator(roots);
  const route = (
    method: string,
    pattern: string,
    handler: (ctx: RouteContext, path: string) => Promise<void> | void,
  ): Route => ({
    method,
    pattern,
    async handler(ctx) {
      const path = readPath(ctx.url);
      try {
        await handler(ctx, path);
      } catch (error) {
        throw fileError(error, path);
      }
    },
  });

  return [
    route('GET', '/files/stat', ({ res }, path) => {
      using located = locate(path);
      sendJson(res, 200, readInfo(located));
    }),
    route('GET', '/files/list', ({ res }, path) => {
      using located = locate(path, { followLast: true });
      // Named as the caller named it, not by what a symlink points to.
      sendJson(res, 200, listDirectory(located));
    }),
    route('GET', '/files/content', (ctx, path) => sendContent(locate, ctx, path)),
    route('PUT', '/files/content', (ctx, path) => receiveContent(locate, ctx, path)),
    route('DELETE', '/files', async ({ res, url }, path) => {
      using located = locate(path);
      await removeTree(located, readFlag(url, 'recursive'));
      sendNoContent(res);
    }),
    route('GET', '/files/watch', async (ctx, path) =>
      (await import('./send-changes.ts')).sendChanges(locate, ctx, path),
    ),
    {
      method: 'POST',
      pattern: '/files/mkdir',
      async handler({ res, readJson }) {
        const body = await readJson();
        const path = textField(body, 'path');
        const parents = isRecord(body) && body['parents'] === true;
        try {
          using located = locate(path, { makeParents: parents });
          makeDirectory(located.target, parents);
          sendJson(res, 200, readInfo(located));
        } catch (error) {
          throw fileError(error, path);
        }
      },
    },
    {
      method: 'POST',
      pattern: '/files/move',
      async handler({ res, readJson }) {
        const body = await readJson();
        const [from, to] = [textField(body, 'from'), textField(body, 'to')];
        try {
          using source = locate(from, { field: 'from' });
          readInfo(source);
          try {
            using destination = locate(to, { field: 'to' });
            await movePath(source, destination);
            sendJson(res, 200, readInfo(destination));
          } catch (error) {
            throw fileError(error, to, 'to');
          }
        } catch (error) {
          throw fileError(error, from, 'from');
        }
      },
    },
  ];
}

/** With `parents`, a directory that is there already is fine, as for `mkdir -p`. */
function makeDirectory(target: string, parents: boolean): void {
  try {
    mkdirSync(target);
  } catch (error) {
    if (!parents || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function textField(body: unknown, field: string): string {
  const value = isRecord(body) ? body[field] : undefined;
  if (typeof value !== 'string') throw new BerthError('invalid_request', `${field} must be a path`, { field });
  return value;
}

async function sendContent(locate: Locate, { res, url }: RouteContext, path: string): Promise<void> {
  const offset = readInteger(url, 'offset') ?? 0;
  const wanted = readInteger(url, 'lengthBytes') ?? Number.MAX_SAFE_INTEGER;
  using located = locate(path, { followLast: true });
  const { fd, sizeBytes } = openRegularFile(located.target);
  const length = Math.max(0, Math.min(wanted, sizeBytes - offset));
  res.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': length });
  if (length === 0) {
    closeSync(fd);
    res.end();
    return;
  }
  const stream = createReadStream('', { fd, start: offset, end: offset + length - 1, highWaterMark: readChunkBytes });
  let sent = 0;
  stream.on('data', (chunk) => {
    sent += chunk.length;
    countStreamed(chunk.length);
  });
  try {
    await pipeline(stream, res, { end: false });
  } catch (error) {
    // The reader left.
    if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') return;
    throw error;
  }
  // It was cut while it was read: break the connection, so that nobody takes this for the whole.
  if (sent < length) res.destroy();
  else res.end();
}

async function receiveContent(locate: Locate, { req, res, url }: RouteContext, path: string): Promise<void> {
  const mode = readInteger(url, 'mode');
  if (mode !== undefined && mode > 0o7777)
    throw new BerthError('invalid_request', 'mode is at most 4095 (0o7777)', { field: 'mode' });
  using located = locate(path, { makeParents: readFlag(url, 'makeParents') });
  using replacement = openReplacement(located, mode);
  // Only now is the body wanted: a refusal so far costs no upload.
  if (req.headers.expect !== undefined) res.writeContinue();
  await replacement.write(bodyOf(req));
  await replacement.commit();
  sendJson(res, 200, readInfo(located));
}
