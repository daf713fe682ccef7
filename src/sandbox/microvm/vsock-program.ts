import { elf } from './elf.ts';

/**
 * A program for x86-64 Linux that listens at an address and, for each connection, one after the other, runs the program that
 * its arguments name, with the connection as standard input and output. In a guest it serves ports of the vsock, which no
 * program of busybox does and which has no compiler. Ends with 1 when it cannot listen, with 2 when the program cannot be run.
 */
export function listenProgram(address: Buffer): Buffer {
  const family = address.readUInt16LE(0);
  const code = new Assembler();
  // socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), kept in ebx
  code.bytes(0xbf).int32(family); // mov edi, family
  code.bytes(0xbe).int32(0x80001); // mov esi, type
  code.bytes(0x31, 0xd2); // xor edx, edx
  code.call(41);
  code.bytes(0x89, 0xc3); // mov ebx, eax
  code.failWhenNegative();
  // bind(ebx, address, length)
  code.bytes(0x89, 0xdf); // mov edi, ebx
  code.leaRsi('address');
  code.bytes(0xba).int32(address.length); // mov edx, length
  code.call(49);
  code.failWhenNegative();
  // listen(ebx, 8)
  code.bytes(0x89, 0xdf, 0xbe).int32(8);
  code.call(50);
  code.failWhenNegative();
  // accept(ebx, NULL, NULL), kept in ebp; again after an error, as of a peer that has gone
  code.label('accept');
  code.bytes(0x89, 0xdf, 0x31, 0xf6, 0x31, 0xd2);
  code.call(43);
  code.bytes(0x85, 0xc0); // test eax, eax
  code.jump([0x0f, 0x88], 'accept'); // js
  code.bytes(0x89, 0xc5); // mov ebp, eax
  code.call(57); // fork
  code.bytes(0x85, 0xc0);
  code.jump([0x0f, 0x84], 'child'); // jz
  // close(ebp); wait4(-1, NULL, 0, NULL)
  code.bytes(0x89, 0xef);
  code.call(3);
  code.bytes(0xbf).int32(-1);
  code.bytes(0x31, 0xf6, 0x31, 0xd2, 0x4d, 0x31, 0xd2); // esi, edx, r10 = 0
  code.call(61);
  code.jump([0xe9], 'accept');
  // dup2(ebp, 0); dup2(ebp, 1); close(ebp)
  code.label('child');
  code.bytes(0x89, 0xef, 0x31, 0xf6);
  code.call(33);
  code.bytes(0x89, 0xef, 0xbe).int32(1);
  code.call(33);
  code.bytes(0x89, 0xef);
  code.call(3);
  // execve(argv[1], argv + 1, envp); the stack is as the kernel left it: argc, argv, NULL, envp
  code.bytes(0x48, 0x8b, 0x04, 0x24); // mov rax, [rsp]
  code.bytes(0x48, 0x8b, 0x7c, 0x24, 0x10); // mov rdi, [rsp + 16]
  code.bytes(0x48, 0x8d, 0x74, 0x24, 0x10); // lea rsi, [rsp + 16]
  code.bytes(0x48, 0x8d, 0x54, 0xc4, 0x10); // lea rdx, [rsp + rax * 8 + 16]
  code.call(59);
  code.bytes(0xbf).int32(2);
  code.call(60);
  code.label('fail');
  code.bytes(0xbf).int32(1);
  code.call(60);
  code.label('address');
  code.bytes(...address);
  return elf(code.finish());
}

const addressFamilyVsock = 40;
const anyContext = 0xffffffff;

/** Linux, include/uapi/linux/vm_sockets.h: `struct sockaddr_vm`. */
export function vsockAddress(port: number): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(addressFamilyVsock, 0);
  address.writeUInt32LE(port, 4);
  address.writeUInt32LE(anyContext, 8);
  return address;
}

/** Bytes of code, with places that are named before they are known. */
class Assembler {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  /** Where a distance goes that is counted from behind it. */
  readonly #distances: { at: number; label: string }[] = [];

  bytes(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  int32(value: number): this {
    const buffer = Buffer.alloc(4);
    buffer.writeInt32LE(value);
    return this.bytes(...buffer);
  }

  label(name: string): void {
    this.#labels.set(name, this.#bytes.length);
  }

  jump(opcode: readonly number[], label: string): void {
    this.bytes(...opcode);
    this.#distances.push({ at: this.#bytes.length, label });
    this.int32(0);
  }

  leaRsi(label: string): void {
    this.jump([0x48, 0x8d, 0x35], label);
  }

  /** The kernel's call of that number. */
  call(number: number): void {
    this.bytes(0xb8).int32(number).bytes(0x0f, 0x05);
  }

  failWhenNegative(): void {
    this.bytes(0x85, 0xc0);
    this.jump([0x0f, 0x88], 'fail');
  }

  finish(): Buffer {
    const code = Buffer.from(this.#bytes);
    for (const { at, label } of this.#distances) code.writeInt32LE(this.#labels.get(label)! - (at + 4), at);
    return code;
  }
}
