import { defineConfig } from 'vitest/config';

/**
 * Sandboxes, mounts and the host's two or more cores are shared, so files that make real sandboxes
 * (`*.e2e.test.ts`, `oci`) run one after the other and everything else beside each other.
 */
export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
          exclude: ['**/*.e2e.test.ts', 'src/sandbox/providers/**', '**/node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e.test.ts', 'src/sandbox/providers/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
    ],
    maxWorkers: 2,
    reporters: ['default'],
  },
});
