import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { BerthError } from '../sdk/index.ts';

/** Where a server is and how to be let in; `berth up` and `berth login` write it for the other commands. */
const clientConfig = z.object({
  url: z.string(),
  token: z.string(),
  /** The token is this file's alone, and ends by `berth logout`. */
  by: z.literal('login').optional(),
});
export type ClientConfig = z.infer<typeof clientConfig>;

export function configPath(env: Record<string, string | undefined>): string {
  return join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'berth', 'client.json');
}

/** `null` when there is none. Throws `invalid_request` when it cannot be understood. */
export async function readConfig(path: string): Promise<ClientConfig | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new BerthError('invalid_request', `${path} cannot be read`, { cause: error });
  }
  try {
    return clientConfig.parse(JSON.parse(text));
  } catch (error) {
    throw new BerthError('invalid_request', `${path} is not { "url", "token" }: remove it, or run berth up or berth login`, {
      cause: error,
    });
  }
}

/** Replaces the file in one step, readable by its owner alone: it holds a token. `null` removes it. */
export async function writeConfig(path: string, config: ClientConfig | null): Promise<void> {
  if (config === null) return rm(path, { force: true });
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  await chmod(beside, 0o600);
  await rename(beside, path);
}
