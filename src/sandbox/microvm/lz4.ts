/**
 * Unpacks the legacy frame of LZ4 that kernels are packed with (lz4: doc/lz4_Frame_format.md, "Legacy frame", and
 * doc/lz4_Block_format.md). Node has no LZ4, and the packages that have it are native or years old. Throws for
 * what is damaged or longer than `maxBytes`.
 */
export function unpackLz4(packed: Buffer, maxBytes: number): Buffer {
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = magicBytes; at + lengthBytes <= packed.length; ) {
    const length = packed.readUInt32LE(at);
    const block = packed.subarray(at + lengthBytes, at + lengthBytes + length);
    if (length === 0 || block.length !== length) throw new Error('LZ4: a block is cut off');
    const content = unpackBlock(block);
    total += content.length;
    if (total > maxBytes) throw new Error('LZ4: too long');
    blocks.push(content);
    at += lengthBytes + length;
  }
  return Buffer.concat(blocks);
}

const magicBytes = 4;
const lengthBytes = 4;
/** Of every block but the last. */
const blockBytes = 8 * 1024 ** 2;
const minMatchBytes = 4;

function unpackBlock(block: Buffer): Buffer {
  const content = Buffer.alloc(blockBytes);
  let [read, written] = [0, 0];
  const take = () => {
    if (read >= block.length) throw new Error('LZ4: a block is cut off');
    return block[read++]!;
  };
  const length = (first: number) => {
    let sum = first;
    if (first === 15) for (let more = 255; more === 255; sum += more) more = take();
    return sum;
  };
  const need = (bytes: number) => {
    if (written + bytes > blockBytes) throw new Error('LZ4: a block is too long');
  };
  for (;;) {
    const token = take();
    const literals = length(token >> 4);
    need(literals);
    if (read + literals > block.length) throw new Error('LZ4: a block is cut off');
    block.copy(content, written, read, read + literals);
    read += literals;
    written += literals;
    // The last sequence has no match.
    if (read === block.length) return content.subarray(0, written);
    const distance = take() | (take() << 8);
    const match = length(token & 15) + minMatchBytes;
    if (distance === 0 || distance > written) throw new Error('LZ4: a match is out of reach');
    need(match);
    // Byte by byte: a match may reach into what it makes.
    for (const end = written + match; written < end; written++) content[written] = content[written - distance]!;
  }
}
