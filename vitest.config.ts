import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/global-setup.ts',
    // Native addons need a process of their own: threads share one, and vmThreads breaks instanceof.
    pool: 'forks',
    // Each worker would start its own engine threads; the machines that run the tests are small.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
