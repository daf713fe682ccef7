import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { FailuresAtTheEnd } from './test/failures-at-the-end.ts';
import { SlowestFirst } from './test/slowest-first.ts';

const greedy = ['test/security/attacks.e2e.test.ts', 'test/security/floods.e2e.test.ts'];

/**
 * Every test that makes sandboxes has an installation of its own, so files run beside each other. Those that fill disks, memory
 * and process tables run last, and alone.
 */
export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'web/src/**/*.test.{ts,tsx}', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
          exclude: ['**/*.e2e.test.ts', 'src/sandbox/providers/**', '**/node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // A worker loads the sources once, not once for each file: no test replaces a module or the environment.
          isolate: false,
          // Many of these have real servers and processes too; see below.
          retry: process.env['CI'] === undefined ? 0 : 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e.test.ts', 'src/sandbox/providers/**/*.test.ts'],
          exclude: [...greedy, '**/node_modules/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // Minutes of real servers on a machine that others use too; what needed a second try is printed.
          retry: process.env['CI'] === undefined ? 0 : 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'security',
          include: greedy,
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          retry: process.env['CI'] === undefined ? 0 : 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    // What Node makes of the sources is kept for the programs that tests start, as `bin/berth` keeps it.
    env: { NODE_COMPILE_CACHE: resolve(import.meta.dirname, 'node_modules/.cache/node') },
    maxWorkers: 2,
    sequence: { sequencer: SlowestFirst },
    // What does not come at all is told a little later; what comes on a busy machine is not missed.
    expect: { poll: { timeout: 10_000 } },
    reporters: ['default', new FailuresAtTheEnd()],
  },
});
