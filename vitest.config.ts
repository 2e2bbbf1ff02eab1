import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  // As in tsconfig.json: server/ uses lib/ by the package's own name.
  resolve: { alias: [{ find: /^sam3-node$/, replacement: fileURLToPath(new URL('lib/index.ts', import.meta.url)) }] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/global-setup.ts',
    // Native addons need a process of their own: threads share one, and vmThreads breaks instanceof.
    pool: 'forks',
    // Each worker would start its own engine threads; the machines that run the tests are small.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // `npm run coverage`. What runs in child processes and through dist/ is tested, but not counted.
    coverage: {
      provider: 'v8',
      include: ['lib/**/*.ts', 'server/**/*.ts'],
      reporter: ['text-summary', 'json-summary', 'lcov'],
      reportsDirectory: 'coverage',
    },
  },
})
