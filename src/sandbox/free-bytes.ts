import { statfs } from 'node:fs/promises';

/** Bytes that can still be written to the file system that a path is on. */
export async function freeBytesAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
