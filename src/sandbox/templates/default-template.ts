import { createHash, randomUUID } from 'node:crypto';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomic } from '../write-atomic.ts';
import { placeFiles, readHostEtc } from './default-etc.ts';
import { templateManifestName, type TemplateBind } from './template.ts';

/** Changes when the skeleton does. */
const recipe = '2';

const directories = [
  'dev',
  'etc',
  'home',
  'home/user',
  'media',
  'mnt',
  'opt',
  'proc',
  'root',
  'run',
  'srv',
  'sys',
  'tmp',
  'usr',
  'berth',
  'berth/agents',
  'berth/objects',
  'berth/run',
  'berth/runner',
  'var',
  'var/cache',
  'var/lib',
  'var/log',
  'var/tmp',
];
/** Merged into /usr on current systems, there as links. */
const besideUsr = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

/**
 * The template that needs no registry: the host's own `/usr`, read-only, below a built `/etc`. Nothing
 * of the host's homes, accounts, keys or services is in it. Built beside and renamed; resolves to its version.
 */
export async function ensureDefaultTemplate(directory: string): Promise<string> {
  const etc = readHostEtc();
  const { links, binds } = usrLayout();
  const hash = createHash('sha256').update(JSON.stringify([recipe, etc, [...links], binds, directories]));
  const version = hash.digest('hex').slice(0, 16);
  const path = join(directory, version);
  if (existsSync(path)) return version;
  const staging = join(directory, `.${version}.${randomUUID()}`);
  try {
    const rootfs = join(staging, 'rootfs');
    await mkdir(rootfs, { recursive: true, mode: 0o755 });
    for (const name of directories) await mkdir(join(rootfs, name), { mode: 0o755 });
    for (const name of ['tmp', 'var/tmp']) await chmod(join(rootfs, name), 0o1777);
    await chmod(join(rootfs, 'root'), 0o700);
    await symlink('/run', join(rootfs, 'var/run'));
    for (const [name, target] of links) await symlink(target, join(rootfs, name));
    for (const bind of binds) await mkdir(join(rootfs, bind.destination), { recursive: true });
    await placeFiles(join(rootfs, 'etc'), etc);
    await writeAtomic(join(staging, templateManifestName), `${JSON.stringify({ binds }, null, 2)}\n`, 0o644);
    await rename(staging, path).catch((error: NodeJS.ErrnoException) => {
      // Another provider of this server was sooner.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return version;
}

function usrLayout(): { links: Map<string, string>; binds: TemplateBind[] } {
  const links = new Map<string, string>();
  const binds: TemplateBind[] = [{ source: '/usr', destination: '/usr' }];
  for (const name of besideUsr) {
    const path = `/${name}`;
    if (!existsSync(path)) continue;
    if (lstatSync(path).isSymbolicLink()) links.set(name, readlinkSync(path));
    else binds.push({ source: path, destination: path });
  }
  return { links, binds };
}
