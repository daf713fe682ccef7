import { lchownSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Gives everything below a directory to a user. What is in it may be hostile: links are given away themselves and never
 * followed (`recursive` of Node's `readdir` follows them, out of the directory and into the host).
 */
export function chownTree(directory: string, uid: number, gid: number): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    lchownSync(path, uid, gid);
    if (entry.isDirectory()) chownTree(path, uid, gid);
  }
}
