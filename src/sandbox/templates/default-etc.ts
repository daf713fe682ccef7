import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { guestHome, guestUser } from '../../core/ports/sandbox-provider.ts';

/** A file's text (base64 keeps any bytes) or a link's target, by path below /etc. */
export type EtcFiles = Record<string, { content: string } | { target: string }>;

/**
 * What programs in /usr need from the host's /etc: configuration that is the same on every machine
 * of the distribution. An allow-list, because /etc is where a host keeps its secrets.
 */
const fromHost = [
  'alternatives',
  'ca-certificates.conf',
  'debian_version',
  'fonts',
  'gai.conf',
  'host.conf',
  'inputrc',
  'java-*',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'locale.alias',
  'lsb-release',
  'magic',
  'magic.mime',
  'mime.types',
  'networks',
  'os-release',
  'perl',
  'protocols',
  'python3*',
  'rpc',
  'services',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
  'vim',
  'xattr.conf',
  'xml',
];

const passwd = `root:x:0:0:root:/root:/bin/sh
${guestUser.name}:x:${guestUser.uid}:${guestUser.gid}::${guestHome}:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;
const group = `root:x:0:
tty:x:5:
${guestUser.name}:x:${guestUser.gid}:
nogroup:x:65534:
`;
const profile = `# Read by login shells.
PATH="${guestHome}/.local/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
export PATH
[ -n "$BASH_VERSION" ] && [ -r /etc/bash.bashrc ] && . /etc/bash.bashrc
`;
const bashrc = `# Read by interactive shells.
[ -z "$PS1" ] && return
shopt -s checkwinsize
PS1='\\u@\\h:\\w\\$ '
`;

const own: Record<string, string> = {
  passwd,
  group,
  profile,
  'bash.bashrc': bashrc,
  hosts: '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n',
  // There is no name server: names go to the proxy with the request.
  'resolv.conf': '',
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  // The workspace may be made by another user of the sandbox's own (a restored snapshot, a copied tree).
  gitconfig: '[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n',
  shells: '/bin/sh\n/bin/bash\n',
  timezone: 'Etc/UTC\n',
  'default/locale': 'LANG=C.UTF-8\n',
};

/** The built /etc, sorted, so that equal hosts make equal templates. */
export function readHostEtc(): EtcFiles {
  const files: EtcFiles = {};
  for (const name of matching(fromHost)) collect(name, files);
  for (const [name, content] of Object.entries(own)) files[name] = { content: Buffer.from(content).toString('base64') };
  files['localtime'] = { target: '/usr/share/zoneinfo/Etc/UTC' };
  files['mtab'] = { target: '/proc/self/mounts' };
  return Object.fromEntries(Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export async function placeFiles(etc: string, files: EtcFiles): Promise<void> {
  for (const [name, file] of Object.entries(files)) {
    const path = join(etc, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    if ('target' in file) await symlink(file.target, path);
    else await writeFile(path, Buffer.from(file.content, 'base64'), { mode: 0o644 });
  }
}

function matching(patterns: readonly string[]): string[] {
  const names = readdirSync('/etc');
  return patterns.flatMap((pattern) => {
    if (!pattern.endsWith('*')) return [pattern];
    return names.filter((name) => name.startsWith(pattern.slice(0, -1)));
  });
}

function collect(name: string, files: EtcFiles): void {
  const path = join('/etc', name);
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isSymbolicLink()) {
    files[name] = { target: readlinkSync(path) };
  } else if (stat.isDirectory()) {
    for (const child of readdirSync(path)) collect(join(name, child), files);
  } else if (stat.isFile() && (stat.mode & 0o004) !== 0) {
    // Only what every user of the host may read anyway.
    files[name] = { content: readFileSync(path).toString('base64') };
  }
}
