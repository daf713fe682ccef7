import { expect, test } from 'vitest';
import { canCheckpoint } from './can-checkpoint.ts';

test.each([
  ['0.0~20240729.0', true],
  ['20250820.0', true],
  ['0.0~20221219.0', false],
  ['unknown', false],
])('runsc %s: %s', (version, expected) => expect(canCheckpoint(version)).toBe(expected));
