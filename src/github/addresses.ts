/** Where GitHub's pages, git and REST API are, on github.com, on GHE.com and on an Enterprise Server. */

export const defaultApiUrl = 'https://api.github.com';

/** The origin of the pages and of git for an API's address: `https://host/api/v3` or `https://api.host`. */
export function webUrlOf(apiUrl: string): string {
  const url = new URL(apiUrl);
  if (url.hostname.startsWith('api.')) url.host = url.host.slice('api.'.length);
  return url.origin;
}

export function cloneUrl(webUrl: string, owner: string, name: string): string {
  return `${webUrl}/${owner}/${name}.git`;
}

/** The owner and name in a clone URL of this GitHub; `null` for any other address. */
export function parseCloneUrl(webUrl: string, url: string): { owner: string; name: string } | null {
  if (!URL.canParse(url)) return null;
  const { origin, pathname, username, password } = new URL(url);
  if (origin !== webUrl || username !== '' || password !== '') return null;
  const match = /^\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/?$/.exec(pathname);
  return match === null ? null : { owner: match[1]!, name: match[2]! };
}

/** The address by which GitHub knows a person's commits, without telling their real one. */
export function noreplyEmail(webUrl: string, id: number, login: string): string {
  const { hostname } = new URL(webUrl);
  return `${id}+${login}@users.noreply.${hostname}`;
}

/** Whether the internet cannot reach this address: GitHub then cannot deliver webhooks to it. */
export function isLoopback(url: string): boolean {
  return /^(?:localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)$/.test(new URL(url).hostname);
}
