import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createKeyLock } from '../providers/_shared/key-lock.ts';
import { diskLabels } from './disk-labels.ts';
import { buildFileSystem } from './images.ts';

/**
 * The installed agents, for guests: one file that all have as a read-only disk and that only grows. Behind a table at its
 * beginning it has a file system for each layer of the agents' directory, and a layer, once it is there, never changes; so a
 * guest that runs, or sleeps, can be told to look at the table again when an agent was installed meanwhile.
 */
export interface AgentsImage {
  path: string;
  /** Takes in what was installed since. Resolves to a number that has changed when there is something new. */
  refresh(): Promise<number>;
  close(): Promise<void>;
}

const mebibyte = 1024 ** 2;
/** Of the disk as guests see it. The file is sparse. */
const sizeBytes = 64 * 1024 * mebibyte;
/** Where an ext4 file system would have its label. */
const labelAt = 1144;
const tableAt = 4096;
const tableBytes = mebibyte - tableAt;
const layerName = /^[a-z0-9][a-zA-Z0-9._-]{0,200}$/;

interface Entry {
  name: string;
  offset: number;
  size: number;
}

export async function openAgentsImage(path: string, agentsDir: string): Promise<AgentsImage> {
  if (!existsSync(path)) await create(path);
  await mkdir(agentsDir, { recursive: true, mode: 0o755 });
  const lock = createKeyLock();
  const entries = await readTable(path);
  return {
    path,
    async refresh() {
      const missing = (await readdir(agentsDir)).filter(
        (name) => layerName.test(name) && !entries.some((entry) => entry.name === name),
      );
      if (missing.length > 0) {
        await lock.run('', async () => {
          for (const name of missing) {
            if (!entries.some((entry) => entry.name === name)) await append(path, join(agentsDir, name), name, entries);
          }
        });
      }
      return entries.length;
    },
    close: () => lock.idle(),
  };
}

async function create(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await writeFile(path, Buffer.concat([Buffer.alloc(labelAt), Buffer.from(diskLabels.agents)]), { mode: 0o644 });
  await chmod(path, 0o644);
  await truncate(path, sizeBytes);
}

async function readTable(path: string): Promise<Entry[]> {
  const file = await open(path, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(tableBytes), 0, tableBytes, tableAt);
    const text = buffer.subarray(0, buffer.indexOf(0)).toString('utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [name, offset, size] = line.split(' ');
        return { name: name!, offset: Number(offset), size: Number(size) };
      });
  } finally {
    await file.close();
  }
}

/** The content first, synced, and then its line: a line never names what is not there. */
async function append(path: string, tree: string, name: string, entries: Entry[]): Promise<void> {
  if (!(await stat(tree)).isDirectory()) return;
  const beside = `${path}.layer`;
  try {
    await buildFileSystem(beside, tree, `agent-${entries.length}`);
    const size = (await stat(beside)).size;
    const last = entries.at(-1);
    const end = last === undefined ? mebibyte : last.offset + last.size;
    const offset = Math.ceil(end / mebibyte) * mebibyte;
    await copyInto(beside, path, offset);
    entries.push({ name, offset, size });
    await writeTable(path, entries);
  } finally {
    await rm(beside, { force: true });
  }
}

async function copyInto(source: string, target: string, offset: number): Promise<void> {
  const [from, to] = [await open(source, 'r'), await open(target, 'r+')];
  try {
    const buffer = Buffer.alloc(mebibyte);
    for (let at = 0; ; ) {
      const { bytesRead } = await from.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      // What is empty stays a hole.
      if (chunk.some((byte) => byte !== 0)) await to.write(chunk, 0, bytesRead, offset + at);
      at += bytesRead;
    }
    await to.sync();
  } finally {
    await from.close();
    await to.close();
  }
}

async function writeTable(path: string, entries: readonly Entry[]): Promise<void> {
  const text = Buffer.from(entries.map(({ name, offset, size }) => `${name} ${offset} ${size}\n`).join(''));
  const file = await open(path, 'r+');
  try {
    await file.write(Buffer.concat([text, Buffer.alloc(1)]), 0, text.length + 1, tableAt);
    await file.sync();
  } finally {
    await file.close();
  }
}
