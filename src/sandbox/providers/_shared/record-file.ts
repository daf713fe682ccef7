import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { writeAtomic } from '../../write-atomic.ts';

/** Whole or not at all, over a crash too. */
export async function writeRecord(path: string, record: object): Promise<void> {
  await writeAtomic(path, `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

/** `null` when there is none, or none that can be read. */
export async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
