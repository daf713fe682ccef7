import { defineConfig } from 'vitest/config';

/**
 * Every test that makes sandboxes has an installation of its own, so files run beside each other. Those under
 * `test/security` that fill disks, memory and process tables run last, and alone.
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
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e.test.ts', 'src/sandbox/providers/**/*.test.ts'],
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
          include: ['test/security/**/*.e2e.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          retry: process.env['CI'] === undefined ? 0 : 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    maxWorkers: 2,
    reporters: ['default'],
  },
});
