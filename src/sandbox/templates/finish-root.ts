import { chmodSync, chownSync, lchownSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { guestHome, guestUser } from '../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../protocol/errors.ts';
import { realDirectory } from './assemble.ts';

/** Changes with what is done here, so that the same layers make another version. */
export const finishRecipe = '1';

/** Where sandboxes have things of their own, each with its mode. Those who mount there follow no link: these are directories. */
const places: readonly (readonly [string, number])[] = [
  ...(['proc', 'sys', 'dev', 'run', 'etc', 'home', 'var', 'var/lib', 'berth', 'berth/agents', 'berth/objects', 'berth/run', 'berth/runner'] as const).map((path) => [path, 0o755] as const),
  ['root', 0o700],
  ['tmp', 0o1777],
  ['var/tmp', 0o1777],
];

/**
 * Makes any root one that sandboxes can start from: their mount points, their user, names without a name server. Throws
 * `invalid_request` where the template has something else in such a place: what it links to is for nobody to be led to.
 */
export function finishRoot(root: string): void {
  own(root, 0o755);
  for (const [path, mode] of places) {
    makeDirectory(root, path);
    own(join(root, path), mode);
  }
  makeDirectory(root, guestHome.slice(1));
  if (isRoot()) chownSync(join(root, guestHome), guestUser.uid, guestUser.gid);
  const { name, uid, gid } = guestUser;
  const shell = hasProgram(root, 'bash') ? '/bin/bash' : '/bin/sh';
  prepend(root, 'etc/passwd', `${name}:x:${uid}:${gid}::${guestHome}:${shell}\n`, 'root:x:0:0:root:/root:/bin/sh\n');
  prepend(root, 'etc/group', `${name}:x:${gid}:\n`, 'root:x:0:\n');
  replace(root, 'etc/hosts', '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n');
  // There is no name server: names go to the proxy with the request.
  replace(root, 'etc/resolv.conf', '');
  // The workspace may be made by another user of the sandbox's own.
  if (!existsIn(root, 'etc/gitconfig')) replace(root, 'etc/gitconfig', '[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n');
  if (!existsIn(root, 'var/run')) symlinkSync('/run', join(root, 'var/run'));
}

/** Of the lists of users and groups. */
const maxListBytes = 1024 ** 2;
const isRoot = () => process.geteuid?.() === 0;

function own(path: string, mode: number): void {
  if (isRoot()) lchownSync(path, 0, 0);
  chmodSync(path, mode);
}

function makeDirectory(root: string, path: string): void {
  let at = '';
  for (const part of path.split('/')) {
    at = at === '' ? part : `${at}/${part}`;
    const stat = lstatSync(join(root, at), { throwIfNoEntry: false });
    if (stat === undefined) mkdirSync(join(root, at), { mode: 0o755 });
    else if (!stat.isDirectory()) {
      throw new BerthError('invalid_request', `/${at} of the template is not a directory, and sandboxes have something of their own there`, { field: 'from' });
    }
  }
}

/** Never written in place: a file may be a layer's. */
function replace(root: string, path: string, content: string): void {
  const full = join(root, path);
  rmSync(full, { recursive: true, force: true });
  writeFileSync(full, content, { flag: 'wx', mode: 0o644 });
  chmodSync(full, 0o644);
}

/** The first line of a user or group counts. */
function prepend(root: string, path: string, line: string, otherwise: string): void {
  const full = join(root, path);
  const stat = lstatSync(full, { throwIfNoEntry: false });
  const isFile = stat?.isFile() === true;
  if (isFile && stat.size > maxListBytes) throw new BerthError('invalid_request', `/${path} of the template is too large`, { field: 'from' });
  replace(root, path, line + (isFile ? readFileSync(full, 'utf8') : otherwise));
}

function existsIn(root: string, path: string): boolean {
  return lstatSync(join(root, path), { throwIfNoEntry: false }) !== undefined;
}

/** In one of the usual places. No link of the template's is followed: of a merged `/bin`, the other name counts. */
export function hasProgram(root: string, name: string): boolean {
  return ['bin', 'usr/bin', 'usr/local/bin'].some((path) => {
    const directory = realDirectory(root, path);
    return directory !== null && lstatSync(join(directory, name), { throwIfNoEntry: false }) !== undefined;
  });
}
