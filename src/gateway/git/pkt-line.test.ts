import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPktReader, flushPkt, MalformedGit, pktLine } from './pkt-line.ts';
import { parsePushCommands } from './push-commands.ts';

const limits = { maxLines: 64, maxBytes: 128 * 1024 };

/** The bytes cut into pieces at the given places, as a network would. */
async function* pieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  let from = 0;
  for (const to of [...at, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

describe('lines', () => {
  test('come back as they were written, however they are cut, and what follows is whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
        fc.uint8Array({ maxLength: 100 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        async (payloads, after, cuts) => {
          const bytes = Buffer.concat([...payloads.map(pktLine), flushPkt, after]);
          const reader = createPktReader(pieces(bytes, cuts));
          expect(await reader.list(limits)).toEqual(payloads.map((each) => Buffer.from(each)));
          expect(Buffer.concat(await Array.fromAsync(reader.rest()))).toEqual(Buffer.from(after));
        },
      ),
    );
  });

  test('anything at all is either lines or refused as malformed', async () => {
    const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdefghz \0\n'), maxLength: 400 }).map((text) => Buffer.from(text));
    await fc.assert(
      fc.asyncProperty(fc.oneof(hex, fc.uint8Array({ maxLength: 400 }).map(Buffer.from)), fc.array(fc.nat(), { maxLength: 4 }), async (bytes, cuts) => {
        const reader = createPktReader(pieces(bytes, cuts));
        try {
          const lines = await reader.list(limits);
          if (lines !== null && lines.length > 0) parsePushCommands(lines);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedGit);
        }
      }),
    );
  });

  test.each(['0001', '0002', '0003', '0004', 'fff1', '+00a', ' 12a', '0x1f'])('%s is no length', async (length) => {
    await expect(createPktReader(pieces(Buffer.from(`${length}xxxxxxxx`), [])).list(limits)).rejects.toThrow(MalformedGit);
  });

  test('more than the limits, and a cut line, are refused', async () => {
    const many = Buffer.concat([pktLine('a'), pktLine('b'), pktLine('c'), flushPkt]);
    await expect(createPktReader(pieces(many, [])).list({ maxLines: 2, maxBytes: 1000 })).rejects.toThrow(MalformedGit);
    await expect(createPktReader(pieces(many, [])).list({ maxLines: 9, maxBytes: 11 })).rejects.toThrow(MalformedGit);
    await expect(createPktReader(pieces(many.subarray(0, 12), [])).list(limits)).rejects.toThrow(MalformedGit);
    expect(await createPktReader(pieces(Buffer.alloc(0), [])).list(limits)).toBeNull();
  });
});

describe('commands of a push', () => {
  const [a, b] = ['a'.repeat(40), 'b'.repeat(40)];
  const parse = (...lines: string[]) => parsePushCommands(lines.map((line) => Buffer.from(line)));

  test('as git writes them', () => {
    expect(parse(`shallow ${a}`, `${a} ${b} refs/heads/x\0 report-status agent=git/2`, `${b} ${a} refs/tags/ä\n`)).toEqual({
      commands: [
        { oldId: a, newId: b, ref: 'refs/heads/x' },
        { oldId: b, newId: a, ref: 'refs/tags/ä' },
      ],
      capabilities: new Set(['report-status', 'agent=git/2']),
    });
  });

  test.each([
    ['a certificate', ['push-cert\0report-status', 'certificate version 0.1']],
    ['two lists of capabilities', [`${a} ${b} refs/heads/x\0a\0b`]],
    ['capabilities on a later line', [`${a} ${b} refs/heads/x\0a`, `${a} ${b} refs/heads/y\0b`]],
    ['a ref outside refs/', [`${a} ${b} HEAD\0a`]],
    ['a ref with dots', [`${a} ${b} refs/heads/../../config\0a`]],
    ['a ref with a control character', [`${a} ${b} refs/heads/\x1b[31m\0a`]],
    ['a ref twice', [`${a} ${b} refs/heads/x\0a`, `${a} ${b} refs/heads/x`]],
    ['ids of another length', [`${a}00 ${b} refs/heads/x\0a`]],
    ['shallow lines alone', [`shallow ${a}`]],
    ['a shallow line after a command', [`${a} ${b} refs/heads/x\0a`, `shallow ${a}`]],
  ])('%s', (_what, lines) => {
    expect(() => parse(...lines)).toThrow(MalformedGit);
  });

  test('what is not UTF-8', () => {
    expect(() => parsePushCommands([Buffer.from([0xff, 0xfe])])).toThrow(MalformedGit);
  });
});
