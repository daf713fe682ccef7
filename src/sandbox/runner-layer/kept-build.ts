import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

export interface KeptBuildOptions {
  /** What the inputs' names are relative to. */
  root: string;
  /** Holds `runner.json` and a directory `runner-<version>` for each build. */
  cacheDir: string;
  /** Builds into a directory that does not exist yet, with a file `version` in it; resolves to the files that it read. */
  build: (outDir: string) => Promise<readonly string[]>;
}

/** What the last build was made of. */
const buildRecord = z.object({
  version: z.string().regex(/^[0-9a-f]{16}$/),
  inputs: z.record(z.string(), z.object({ sizeBytes: z.number(), mtimeMs: z.number() })),
});
type BuildRecord = z.infer<typeof buildRecord>;

/**
 * The directory of a build that is never older than its inputs: the last one while none of them has changed in size or time,
 * else a new one. Callers beside each other, of several processes too, may both build; either's is whole.
 */
export async function keptBuild({ root, cacheDir, build }: KeptBuildOptions): Promise<string> {
  const directoryOf = (version: string) => join(cacheDir, `runner-${version}`);
  const recordFile = join(cacheDir, 'runner.json');
  const known = await readRecord(recordFile);
  if (known !== null && existsSync(directoryOf(known.version)) && (await isUnchanged(root, known))) return directoryOf(known.version);

  await mkdir(cacheDir, { recursive: true });
  const startedMs = Date.now();
  const staging = join(cacheDir, `.building-${randomBytes(6).toString('hex')}`);
  try {
    const files = await build(staging);
    const version = (await readFile(join(staging, 'version'), 'utf8')).trim();
    await moveInto(staging, directoryOf(version));
    const inputs = await describe(root, files);
    // A file that was changed during the build may not be what was built: the next caller builds again.
    if (Object.values(inputs).every(({ mtimeMs }) => mtimeMs < startedMs)) await writeRecord(recordFile, { version, inputs });
    return directoryOf(version);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Renames a directory; leaves what is there already, which has the same content by its name. */
export async function moveInto(staging: string, target: string): Promise<void> {
  await rename(staging, target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

async function isUnchanged(root: string, { inputs }: BuildRecord): Promise<boolean> {
  const now = await describe(root, Object.keys(inputs)).catch(() => null);
  if (now === null) return false;
  return Object.entries(inputs).every(([file, was]) => now[file]?.sizeBytes === was.sizeBytes && now[file].mtimeMs === was.mtimeMs);
}

async function describe(root: string, files: readonly string[]): Promise<BuildRecord['inputs']> {
  const described = files.map(async (file) => {
    const { size, mtimeMs } = await stat(join(root, file));
    return [file, { sizeBytes: size, mtimeMs }] as const;
  });
  return Object.fromEntries(await Promise.all(described));
}

async function readRecord(path: string): Promise<BuildRecord | null> {
  try {
    return buildRecord.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return null;
  }
}

async function writeRecord(path: string, record: BuildRecord): Promise<void> {
  const beside = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(beside, JSON.stringify(record));
  await rename(beside, path);
}
