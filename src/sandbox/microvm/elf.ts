/** One segment, readable and executable, that holds the whole file (System V ABI, chapters 4 and 5). */
export function elf(code: Buffer): Buffer {
  const [headerBytes, programHeaderBytes, base] = [64, 56, 0x400000];
  const header = Buffer.alloc(headerBytes + programHeaderBytes);
  const size = header.length + code.length;
  header.write('\x7fELF', 0, 'latin1');
  header.set([2, 1, 1], 4); // 64 bits, little-endian, version 1
  header.writeUInt16LE(2, 16); // executable
  header.writeUInt16LE(62, 18); // x86-64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(base + header.length), 24); // entry
  header.writeBigUInt64LE(BigInt(headerBytes), 32); // program headers
  header.writeUInt16LE(headerBytes, 52);
  header.writeUInt16LE(programHeaderBytes, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt32LE(1, 64); // PT_LOAD
  header.writeUInt32LE(5, 68); // readable, executable
  header.writeBigUInt64LE(BigInt(base), 80);
  header.writeBigUInt64LE(BigInt(base), 88);
  header.writeBigUInt64LE(BigInt(size), 96);
  header.writeBigUInt64LE(BigInt(size), 104);
  header.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([header, code]);
}
