import { BerthError } from '../protocol/errors.ts';

export interface RepositoryUrl {
  /** Without credentials, query or trailing slash; the key of the repository everywhere. */
  url: string;
  /** What its folder in a sandbox is called: letters, digits, `.`, `_`, `-`; no dot or dash in front. */
  name: string;
}

const maxUrlLength = 2048;

/**
 * Reads a repository's address as a person gives it. `https:` and `http:` only; with `allowLocal` an
 * absolute path or `file:` too. Throws `invalid_request` for the field `repository`. Nothing that
 * git would take for an option or for a helper (`ext::`) comes through.
 */
export function parseRepositoryUrl(text: string, options: { allowLocal: boolean }): RepositoryUrl {
  const refuse = (why: string): never => {
    throw new BerthError('invalid_request', `the repository ${why}`, { field: 'repository' });
  };
  if (text.length > maxUrlLength) refuse(`address is longer than ${maxUrlLength} characters`);
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\x00-\x20\x7f\\]/.test(text)) refuse('address holds a space, a backslash or a control character');
  if (/^[^/]*::/.test(text)) refuse('address names a remote helper');
  if (/^(?:ssh:|git:|[^/:@]+@[^/:]+:)/i.test(text))
    refuse('address must begin with https://; SSH is not used, for no key enters Berth');

  const url = parse(text.startsWith('/') ? `file://${text}` : text) ?? refuse('address is not a URL');
  const allowed = options.allowLocal ? ['https:', 'http:', 'file:'] : ['https:', 'http:'];
  if (!allowed.includes(url.protocol)) {
    refuse(
      url.protocol === 'file:'
        ? 'is a local path, which this server does not allow'
        : 'address must begin with https://',
    );
  }
  if (url.username !== '' || url.password !== '') refuse('address must not hold credentials');
  if (url.search !== '' || url.hash !== '') refuse('address must not have a query or a fragment');
  if (url.protocol === 'file:' && url.host !== '') refuse('address of a local path must not name a host');
  url.pathname = url.pathname.replace(/\/+$/, '');
  const name = folderName(url.pathname);
  if (name === '') refuse('address has no path');
  return { url: url.href.replace(/\/$/, ''), name };
}

function parse(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null;
}

function folderName(pathname: string): string {
  const parts = pathname.split('/').filter((part) => part !== '');
  // A bare repository `.git` in a folder is called after the folder.
  const last = parts.at(-1) === '.git' ? parts.at(-2) : parts.at(-1);
  return (
    (last ?? '')
      .replace(/\.git$/, '')
      .replace(/%[0-9a-f]{2}/gi, '-')
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      // HOME has folders of its own that begin with a dot.
      .replace(/^[.-]+/, '')
      .slice(0, 100)
  );
}

/** File systems end a name at 255 bytes, and git adds `.lock`. */
const maxBranchBytes = 244;

/**
 * Whether git takes it as a branch's name: the rules of `git check-ref-format --branch`, and not
 * `HEAD`, which no branch should be called.
 */
export function isBranchName(name: string): boolean {
  if (name === '' || name === '@' || name === 'HEAD' || name.startsWith('-')) return false;
  if (new TextEncoder().encode(name).length > maxBranchBytes || !name.isWellFormed()) return false;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\.$/.test(name)) return false;
  return name.split('/').every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'));
}

/** Throws `invalid_request` for `field` unless `isBranchName`. */
export function checkBranchName(name: string, field: string): void {
  if (isBranchName(name)) return;
  throw new BerthError('invalid_request', 'this is not a name that git takes for a branch', { field });
}
