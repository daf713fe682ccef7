import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { BerthError } from '../../protocol/errors.ts';
import { unpackLz4 } from './lz4.ts';

const sectorBytes = 512;
/** Far beyond any kernel, and a bound for what a damaged one unpacks to. */
const maxKernelBytes = 512 * 1024 ** 2;
const elfMagic = Buffer.from('\x7fELF', 'latin1');

/**
 * The kernel itself, an ELF file, of the packed form that distributions ship (kernel: Documentation/arch/x86/boot.rst, header
 * fields `payload_offset` and `payload_length`). Throws `unavailable` with the reason.
 */
export function unpackKernel(bzImage: Buffer): Buffer {
  if (bzImage.length < 0x250 || bzImage.toString('latin1', 0x202, 0x206) !== 'HdrS') throw cannot('it is no bzImage');
  const setupSectors = bzImage[0x1f1] === 0 ? 4 : bzImage[0x1f1]!;
  const start = (setupSectors + 1) * sectorBytes + bzImage.readUInt32LE(0x248);
  const payload = bzImage.subarray(start, start + bzImage.readUInt32LE(0x24c));
  const kernel = unpack(payload);
  if (!kernel.subarray(0, 4).equals(elfMagic)) throw cannot('there is no ELF file in it');
  return kernel;
}

/** After what is packed the kernel's build puts its unpacked length, for its own loader. */
function unpack(payload: Buffer): Buffer {
  const magic = payload.toString('hex', 0, 6);
  if (magic.startsWith('7f454c46')) return payload;
  const packed = payload.subarray(0, -4);
  if (magic.startsWith('1f8b')) return gunzipSync(packed, { maxOutputLength: maxKernelBytes, finishFlush: constants.Z_SYNC_FLUSH });
  if (magic.startsWith('28b52ffd')) return zstdDecompressSync(packed, { maxOutputLength: maxKernelBytes });
  if (magic.startsWith('02214c18')) return unpackLz4(packed, maxKernelBytes);
  throw cannot(`it is packed in a way that is not known (${magic})`);
}

const cannot = (reason: string) => new BerthError('unavailable', `the guest kernel cannot be unpacked: ${reason}`);
