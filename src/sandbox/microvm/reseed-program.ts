import { elf } from './elf.ts';

/**
 * A program for x86-64 Linux that makes the kernel's random generator take in, at once, what was written to
 * /dev/urandom: open("/dev/urandom", O_WRONLY), ioctl(RNDRESEEDCRNG), exit(0, or 1 on a failure). Guests that are woken from
 * one memory image would otherwise give the same random numbers until their next reseeding. Made here by hand, as no
 * program of busybox or of Debian's base does this call and a guest has no compiler.
 */
export function reseedProgram(): Buffer {
  const code = Buffer.concat([
    Buffer.from([0xb8, 2, 0, 0, 0]), // mov eax, 2 (open)
    Buffer.from([0x48, 0x8d, 0x3d]), // lea rdi, [rip + path]
    Buffer.alloc(4),
    Buffer.from([0xbe, 1, 0, 0, 0]), // mov esi, 1 (O_WRONLY)
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0x89, 0xc7]), // mov edi, eax
    Buffer.from([0xb8, 16, 0, 0, 0]), // mov eax, 16 (ioctl)
    Buffer.from([0xbe, 0x07, 0x52, 0, 0]), // mov esi, 0x5207 (RNDRESEEDCRNG)
    Buffer.from([0x31, 0xd2]), // xor edx, edx
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0x85, 0xc0]), // test eax, eax
    Buffer.from([0x0f, 0x95, 0xc0]), // setne al
    Buffer.from([0x0f, 0xb6, 0xf8]), // movzx edi, al
    Buffer.from([0xb8, 60, 0, 0, 0]), // mov eax, 60 (exit)
    Buffer.from([0x0f, 0x05]), // syscall
  ]);
  // Counted from the end of the instruction that takes it.
  const afterLea = 12;
  code.writeInt32LE(code.length - afterLea, afterLea - 4);
  return elf(Buffer.concat([code, Buffer.from('/dev/urandom\0')]));
}
