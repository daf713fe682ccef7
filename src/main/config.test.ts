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

test('times of rest follow each other, and the last step is one of two', () => {
  const { idle } = readConfig({ BERTH_IDLE_PAUSE_MINUTES: '0', BERTH_IDLE_ARCHIVE_MINUTES: '60', BERTH_IDLE_LAST_STEP: 'destroy' });
  expect(idle).toMatchObject({ pauseMs: null, hibernateMs: 900_000, archiveMs: 3_600_000, lastStep: 'destroy' });
  expect(() => readConfig({ BERTH_IDLE_PAUSE_MINUTES: '30' })).toThrow(
    'BERTH_IDLE_PAUSE_MINUTES (30) must be less than BERTH_IDLE_HIBERNATE_MINUTES (15)',
  );
  expect(() => readConfig({ BERTH_IDLE_LAST_STEP: 'forget' })).toThrow(/BERTH_IDLE_LAST_STEP/);
});

test('repositories to keep are checked, and named once each', () => {
  const env = { BERTH_PRECLONE: 'https://github.com/a/b, https://github.com/a/b,https://github.com/a/c' };
  expect(readConfig(env).warm).toMatchObject({ preclone: { length: 2 }, mirrorConnected: false });
  expect(readConfig({ BERTH_PRECLONE: 'connected' }).warm).toMatchObject({ preclone: [], mirrorConnected: true });
  expect(() => readConfig({ BERTH_PRECLONE: 'not an address' })).toThrow(/BERTH_PRECLONE/);
  expect(() => readConfig({ BERTH_WARM: '-1' })).toThrow(/BERTH_WARM/);
});
