import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { BerthError } from '../protocol/errors.ts';

export interface InstanceLock {
  release(): Promise<void>;
}

/** The name of this data directory's installation, made at first use: names its cgroups and its state in /run. */
export async function installationId(dataDir: string): Promise<string> {
  const path = join(dataDir, 'installation');
  const existing = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return null;
  });
  if (existing !== null) return existing.trim();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, `${randomBytes(8).toString('hex')}\n`, { mode: 0o600 });
  try {
    // A link, unlike a rename, lets the first of two starters win.
    await link(beside, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(beside, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}

/**
 * Makes this process the only one that works on a data directory. The lock is an abstract unix
 * socket: taking it is atomic and the kernel drops it with the process, however that ends, so there is
 * no stale lock. Throws `conflict` naming the process that has it.
 */
export async function lockInstallation(dataDir: string, installation: string): Promise<InstanceLock> {
  const name = `\0berth-${installation}`;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`${process.pid}\n`);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(name, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    const holder = await askHolder(name);
    throw new BerthError('conflict', `process ${holder} is already working on ${dataDir}`, {
      context: { dataDir, pid: holder },
      cause,
    });
  }
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

async function askHolder(name: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(name);
    let text = '';
    socket.setTimeout(1000, () => socket.destroy());
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('error', () => {});
    socket.on('close', () => resolve(text.trim() || 'unknown'));
  });
}
