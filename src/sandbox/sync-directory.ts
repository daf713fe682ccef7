import { open } from 'node:fs/promises';

/** Has the names in a directory, as files were made, renamed and removed there, outlast a crash of the machine. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
