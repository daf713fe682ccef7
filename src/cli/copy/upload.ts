import { spawn } from 'node:child_process';
import { openAsBlob } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, posix, resolve } from 'node:path';
import { BerthError, frameType, parseExit, type BerthClient } from '../../sdk/index.ts';
import { usageError } from '../failure.ts';
import { startGated } from '../gated-process.ts';
import { sanitize } from '../render/sanitize.ts';
import type { RemotePath } from './remote-path.ts';

/**
 * Copies a file or directory into a session: a file as one request, a directory as a tar stream that
 * `tar` in the sandbox unpacks while it arrives. Resolves to the path that was made.
 */
export async function upload(client: BerthClient, from: string, to: RemotePath): Promise<string> {
  const info = await stat(from).catch(() => {
    throw usageError(`${from} does not exist`, 'source');
  });
  const name = basename(resolve(from));
  const target = to.path.endsWith('/') || (await isDirectory(client, to)) ? posix.join(to.path, name) : to.path;
  if (info.isDirectory()) await uploadDirectory(client, from, { ...to, path: target });
  else {
    await client.sessions.files.write(to.sessionId, target, await openAsBlob(from), {
      mode: info.mode & 0o777,
      makeParents: true,
    });
  }
  return target;
}

async function isDirectory(client: BerthClient, { sessionId, path }: RemotePath): Promise<boolean> {
  try {
    return (await client.sessions.files.stat(sessionId, path)).type === 'directory';
  } catch (error) {
    if (error instanceof BerthError && error.code === 'not_found') return false;
    throw error;
  }
}

async function uploadDirectory(client: BerthClient, from: string, to: RemotePath): Promise<void> {
  const attached = await startGated(client, to.sessionId, {
    argv: ['/bin/sh', '-c', 'mkdir -p "$1" && exec tar -xf - -C "$1"', 'berth-cp', to.path],
  });
  const packing = pack(from, (chunk) => attached.write(chunk)).then(
    () => attached.end(),
    async (error: unknown) => {
      // Without this the far side would take a cut archive for a whole one.
      await client.sessions.processes.signal(to.sessionId, attached.id, 'SIGKILL').catch(() => undefined);
      throw error;
    },
  );
  let stderr = '';
  const unpacking = (async () => {
    for await (const frame of attached.output) {
      if (frame.type === frameType.stderr) stderr += new TextDecoder().decode(frame.payload);
      if (frame.type === frameType.exit) return parseExit(frame);
    }
    return { exitCode: null, signal: null };
  })();
  const [exit] = await Promise.all([unpacking, packing]);
  if (exit.exitCode !== 0) {
    throw new BerthError(
      'upstream_failed',
      `tar in the sandbox failed: ${sanitize(stderr).trim() || `exit ${exit.exitCode}`}`,
    );
  }
}

async function pack(directory: string, write: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  const tar = spawn('tar', ['-cf', '-', '-C', directory, '.'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  tar.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<number | null>((done, fail) => {
    tar.once('error', (error) =>
      fail(new BerthError('unsupported', 'tar is needed to copy a directory', { cause: error })),
    );
    tar.once('close', done);
  });
  const copying = (async () => {
    for await (const chunk of tar.stdout) await write(chunk as Buffer);
  })();
  const [code] = await Promise.all([ended, copying]);
  if (code !== 0) throw new BerthError('internal', `tar failed: ${stderr.trim()}`);
}
