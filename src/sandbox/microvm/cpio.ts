/** An entry of an archive. Everything belongs to root; parents come before what is in them. */
export type CpioEntry =
  | { name: string; kind: 'directory' }
  | { name: string; kind: 'file'; content: Buffer; mode: number }
  | { name: string; kind: 'link'; target: string };

/** An archive in the `newc` format that Linux unpacks at boot (kernel: Documentation/driver-api/early-userspace/buffer-format.rst). The same entries give the same bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  entries.forEach((entry, index) => parts.push(record(entry.name, index + 1, modeOf(entry), contentOf(entry))));
  parts.push(record('TRAILER!!!', 0, 0, Buffer.alloc(0)));
  return Buffer.concat(parts);
}

function modeOf(entry: CpioEntry): number {
  switch (entry.kind) {
    case 'directory':
      return 0o040_755;
    case 'file':
      return 0o100_000 | entry.mode;
    case 'link':
      return 0o120_777;
  }
}

function contentOf(entry: CpioEntry): Buffer {
  switch (entry.kind) {
    case 'directory':
      return Buffer.alloc(0);
    case 'file':
      return entry.content;
    case 'link':
      return Buffer.from(entry.target);
  }
}

function record(name: string, inode: number, mode: number, content: Buffer): Buffer {
  const path = Buffer.from(`${name}\0`);
  const [links, time, uid, gid, device, check] = [1, 0, 0, 0, 0, 0];
  const fields = [inode, mode, uid, gid, links, time, content.length, device, device, device, device, path.length, check];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), path])), padded(content)]);
}

function padded(part: Buffer): Buffer {
  return Buffer.concat([part, Buffer.alloc((4 - (part.length % 4)) % 4)]);
}
