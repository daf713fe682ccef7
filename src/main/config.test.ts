import { expect, test } from 'vitest';
import { defaultSlots, defaultWarm, readConfig } from './config.ts';

const gibibyte = 1024 ** 3;

test.each([
  // cores, memory, memory of a sandbox, slots, warm
  [1, 1, 1, 1, 0],
  [1, 2, 1, 1, 0],
  [2, 4, 1, 3, 1],
  [2, 8, 1, 6, 2],
  [2, 24, 3, 6, 2],
  [4, 16, 2, 7, 2],
  [16, 64, 4, 15, 2],
  [64, 512, 4, 127, 2],
])('%i cores and %i GiB, %i GiB a sandbox: %i slots, %i warm', (cores, memory, each, slots, warm) => {
  const machine = { cores, memoryBytes: memory * gibibyte };
  expect(defaultSlots(each * gibibyte, machine)).toBe(slots);
  expect(defaultWarm(slots, machine)).toBe(warm);
});

test('repositories to keep are checked, and named once each', () => {
  const env = { BERTH_PRECLONE: 'https://github.com/a/b, https://github.com/a/b,https://github.com/a/c' };
  expect(readConfig(env).warm).toMatchObject({ preclone: { length: 2 }, mirrorConnected: false });
  expect(readConfig({ BERTH_PRECLONE: 'connected' }).warm).toMatchObject({ preclone: [], mirrorConnected: true });
  expect(() => readConfig({ BERTH_PRECLONE: 'not an address' })).toThrow(/BERTH_PRECLONE/);
  expect(() => readConfig({ BERTH_WARM: '-1' })).toThrow(/BERTH_WARM/);
});
