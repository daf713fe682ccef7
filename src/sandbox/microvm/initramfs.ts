import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeCpio, type CpioEntry } from './cpio.ts';
import { reseedProgram } from './reseed-program.ts';
import { guestPorts } from './guest-ports.ts';
import { listenProgram, vsockAddress } from './vsock-program.ts';

/** Of the kernel, in the order in which they are loaded: each after what it uses. */
export const guestModules = [
  'drivers/virtio/virtio.ko',
  'drivers/virtio/virtio_ring.ko',
  'drivers/virtio/virtio_mmio.ko',
  'drivers/block/virtio_blk.ko',
  'drivers/char/virtio_console.ko',
  'drivers/virtio/virtio_balloon.ko',
  'drivers/block/loop.ko',
  'fs/overlayfs/overlay.ko',
  'net/vmw_vsock/vsock.ko',
  'net/vmw_vsock/vmw_vsock_virtio_transport_common.ko',
  'net/vmw_vsock/vmw_vsock_virtio_transport.ko',
];

/** Of a machine with a network card, loaded after those. */
export const cardModules = ['net/core/failover.ko', 'drivers/net/net_failover.ko', 'drivers/net/virtio_net.ko'];

/** Of busybox, what `init.sh` uses by name. */
const applets = [
  'base64',
  'blockdev',
  'cat',
  'chmod',
  'chown',
  'chroot',
  'cp',
  'date',
  'dd',
  'env',
  'fsfreeze',
  'hostname',
  'insmod',
  'ip',
  'kill',
  'ln',
  'losetup',
  'ls',
  'mkdir',
  'mknod',
  'mount',
  'nsenter',
  'poweroff',
  'reboot',
  'rm',
  'rmdir',
  'setpriv',
  'sh',
  'sleep',
  'start-stop-daemon',
  'sync',
  'tr',
  'umount',
  'unshare',
  'usleep',
];

export interface Initramfs {
  content: Buffer;
  /** Hash of everything in it. */
  version: string;
}

/** From a directory with `busybox` and `modules/` of one kernel. */
export async function buildInitramfs(directory: string): Promise<Initramfs> {
  const entries: CpioEntry[] = ['bin', 'modules', 'proc', 'sys', 'dev', 'disk', 'frame', 'cgroup', 'shown'].map(
    (name) => ({ name, kind: 'directory' as const }),
  );
  const file = (name: string, content: Buffer, mode: number) => entries.push({ name, kind: 'file', content, mode });
  file('init', await readFile(join(import.meta.dirname, 'init.sh')), 0o755);
  file('begin', await readFile(join(import.meta.dirname, 'begin.sh')), 0o755);
  file('agent', await readFile(join(import.meta.dirname, 'agent.sh')), 0o755);
  file('bin/busybox', await readFile(join(directory, 'busybox')), 0o755);
  file('bin/reseed', reseedProgram(), 0o755);
  file('relay', await readFile(join(import.meta.dirname, 'relay.sh')), 0o755);
  for (const [name, port] of Object.entries(guestPorts)) {
    file(`bin/serve-${name}`, listenProgram(vsockAddress(port)), 0o755);
  }
  for (const name of applets) entries.push({ name: `bin/${name}`, kind: 'link', target: 'busybox' });
  for (const [name, paths] of Object.entries({ order: guestModules, card: cardModules })) {
    for (const path of paths) file(`modules/${basename(path)}`, await readFile(join(directory, 'modules', path)), 0o644);
    file(`modules/${name}`, Buffer.from(`${paths.map((path) => basename(path)).join('\n')}\n`), 0o644);
  }
  const archive = writeCpio(entries);
  const version = createHash('sha256').update(archive).digest('hex').slice(0, 16);
  return { content: gzipSync(archive), version };
}
