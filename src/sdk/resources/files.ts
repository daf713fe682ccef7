import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { fileChange, fileInfo, type FileChange, type FileInfo } from '../../protocol/runner-api.ts';
import { readSse } from '../sse.ts';
import type { RequestBody, Transport } from '../transport.ts';

export interface CallOptions {
  signal?: AbortSignal;
}

export interface WriteOptions extends CallOptions {
  /** Permission bits, e.g. `0o755`. */
  mode?: number;
  /** Make missing parent directories. */
  makeParents?: boolean;
}

/** A session's files. Paths are absolute, as the agent sees them. */
export interface FilesResource {
  list(sessionId: string, path: string, options?: CallOptions): Promise<FileInfo[]>;
  stat(sessionId: string, path: string, options?: CallOptions): Promise<FileInfo>;
  /** The content as it arrives; cancel the stream to stop early. */
  read(sessionId: string, path: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>>;
  /** Replaces the file atomically. */
  write(sessionId: string, path: string, content: RequestBody, options?: WriteOptions): Promise<FileInfo>;
  mkdir(sessionId: string, path: string, options?: CallOptions & { parents?: boolean }): Promise<FileInfo>;
  move(sessionId: string, from: string, to: string, options?: CallOptions): Promise<FileInfo>;
  remove(sessionId: string, path: string, options?: CallOptions & { recursive?: boolean }): Promise<void>;
  /**
   * Changes under a path from now on. Ends with `unavailable` when the connection is lost: changes in
   * between cannot be known, so the caller must look again rather than trust a silent reconnect.
   */
  watch(sessionId: string, path: string, options?: CallOptions & { recursive?: boolean }): AsyncIterable<FileChange>;
}

export function createFilesResource(transport: Transport): FilesResource {
  const files = (sessionId: string, suffix = ''): string =>
    `/api/sessions/${encodeURIComponent(sessionId)}/files${suffix}`;
  const list = z.object({ files: z.array(fileInfo) });

  return {
    async list(sessionId, path, options) {
      return (await transport.json(list, 'GET', files(sessionId), { query: { path }, ...options })).files;
    },
    stat: (sessionId, path, options) =>
      transport.json(fileInfo, 'GET', files(sessionId, '/stat'), { query: { path }, ...options }),
    async read(sessionId, path, options) {
      const response = await transport.send('GET', files(sessionId, '/content'), { query: { path }, ...options });
      return response.body ?? new Blob([]).stream();
    },
    write: (sessionId, path, content, { signal, mode, makeParents } = {}) =>
      transport.json(fileInfo, 'PUT', files(sessionId, '/content'), {
        query: { path, mode: mode?.toString(8).padStart(3, '0'), makeParents },
        headers: { 'content-type': 'application/octet-stream' },
        body: content,
        idempotent: true,
        signal,
      }),
    mkdir: (sessionId, path, { parents, signal } = {}) =>
      transport.json(fileInfo, 'POST', files(sessionId, '/mkdir'), {
        json: { path, ...(parents === undefined ? {} : { parents }) },
        signal,
      }),
    move: (sessionId, from, to, options) =>
      transport.json(fileInfo, 'POST', files(sessionId, '/move'), { json: { from, to }, ...options }),
    remove: (sessionId, path, { recursive, signal } = {}) =>
      transport.empty('DELETE', files(sessionId), { query: { path, recursive }, signal }),
    async *watch(sessionId, path, { recursive, signal } = {}) {
      const messages = readSse(transport, files(sessionId, '/watch'), {
        query: { path, recursive },
        signal,
        // A quiet directory says nothing, and this stream has no heartbeat.
        silenceLimitMs: null,
      });
      for await (const message of messages) yield fileChange.parse(JSON.parse(message.data));
      throw new BerthError('unavailable', 'the server closed the watch');
    },
  };
}
