import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { findProgram } from '../find-program.ts';
import { mustRun } from '../run-command.ts';

export const smallTemplate = 'small';

/** What the suites run inside. */
const programs = [
  ...['sh', 'bash', 'cat', 'ls', 'id', 'env', 'grep', 'pwd', 'echo', 'head', 'seq', 'sleep', 'date', 'cut', 'mkdir', 'mv', 'rm'],
  ...['cksum', 'sort', 'nproc', 'hostname', 'true', 'sync', 'timeout', 'touch', 'wc', 'readlink', 'pkill', 'sed', 'tail', 'stty', 'kill'],
  ...['stat', 'chmod', 'ln', 'dd', 'tr', 'tty', 'printf', 'test', 'yes', 'find', 'cp', 'cmp', 'awk', 'xargs', 'uname'],
];

/** A template of the host's own shell and tools, and `more` of its programs: 20 MB in place of the whole of `/usr`, which takes a while to copy into an image. */
export async function placeSmallTemplate(templatesDir: string, more: readonly string[] = []): Promise<void> {
  const directory = join(templatesDir, smallTemplate);
  const rootfs = join(directory, '1/rootfs');
  for (const name of ['bin', 'etc', 'home/user', 'root', 'usr', 'var/tmp', 'tmp', 'lib64']) await mkdir(join(rootfs, name), { recursive: true });
  await symlink('../bin', join(rootfs, 'usr/bin'));
  for (const name of [...programs, ...more]) {
    const path = await findProgram(name);
    if (path === null) continue;
    await copyFile(path, join(rootfs, 'bin', basename(path)));
    for (const library of (await mustRun('ldd', [path])).match(/\/\S+/g) ?? []) {
      const target = join(rootfs, library);
      await mkdir(dirname(target), { recursive: true });
      await copyFile(library, target);
    }
  }
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/bash\n');
  await writeFile(join(rootfs, 'etc/group'), 'root:x:0:\nuser:x:1000:\n');
  await writeFile(join(rootfs, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  await writeFile(join(rootfs, 'etc/nsswitch.conf'), 'hosts: files\n');
  await writeFile(join(directory, '1/template.json'), '{}');
  await writeFile(join(directory, 'current'), '1\n');
}
