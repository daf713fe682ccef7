import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allBut, createSeccompProfile } from './seccomp.ts';

const matches = (blocks: { mask: number; value: number }[], number: number) =>
  blocks.some(({ mask, value }) => (number & mask) >>> 0 === value);

test('allBut covers every number but the refused', () => {
  const word = fc.nat({ max: 0xffff_ffff });
  fc.assert(
    fc.property(fc.uniqueArray(word, { minLength: 1, maxLength: 8 }), word, (refused, number) => {
      const blocks = allBut(refused);
      for (const value of refused) expect(matches(blocks, value)).toBe(false);
      expect(matches(blocks, number)).toBe(!refused.includes(number));
    }),
  );
});

test('the profile names no call twice and leaves the dangerous ones out', () => {
  const profile = createSeccompProfile('x64');
  const plain = profile.syscalls[0]!.names;
  expect(new Set(plain).size).toBe(plain.length);
  const dangerous = [
    'mount',
    'unshare',
    'setns',
    'bpf',
    'keyctl',
    'userfaultfd',
    'perf_event_open',
    'kexec_load',
    'init_module',
    'pivot_root',
  ];
  for (const name of [...dangerous, 'ioctl', 'socket', 'clone']) expect(plain).not.toContain(name);
});
