import { BerthError } from '../sdk/index.ts';
import { configPath, readConfig, type ClientConfig } from './config-file.ts';

/**
 * Which server to talk to: `--url` and `--token`, then `BERTH_URL` and `BERTH_TOKEN`, then the file
 * that `berth up` or `berth login` wrote. The file's token is for the file's server: it is never sent to another one.
 */
export async function resolveConnection(
  flags: { url?: string | undefined; token?: string | undefined },
  env: Record<string, string | undefined>,
): Promise<ClientConfig> {
  const url = flags.url ?? env['BERTH_URL'];
  const token = flags.token ?? env['BERTH_TOKEN'];
  if (url && token) return { url, token };
  const file = await readConfig(configPath(env));
  if (!url && file === null) {
    throw new BerthError('unavailable', 'no server is known: start one with berth up, sign in to one with berth login, or give --url and --token');
  }
  const chosen = url ?? file?.url ?? '';
  const sameServer = file !== null && origin(chosen) === origin(file.url);
  const chosenToken = token ?? (sameServer ? file.token : undefined);
  if (!chosenToken) {
    throw new BerthError('unauthorized', `no token for ${chosen}: give --token or BERTH_TOKEN, or run berth login`, { field: 'token' });
  }
  return { url: chosen, token: chosenToken };
}

/** Whether the server runs on this machine, so that it can see this machine's directories. */
export function isLocal(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host);
}

function origin(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}
