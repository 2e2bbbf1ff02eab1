import { defineConfig } from 'tsup'

const shared = { target: 'node20', platform: 'node', sourcemap: true, splitting: false } as const

export default defineConfig([
  {
    ...shared,
    entry: { index: 'lib/index.ts' },
    format: ['esm', 'cjs'],
    dts: true,
    clean: true,
    // import.meta.url in the CommonJS build, from which the package's folder is found.
    esbuildOptions(options, { format }) {
      if (format !== 'cjs') return
      options.inject = [...(options.inject ?? []), 'scripts/support/import-meta-url.js']
      options.define = { ...options.define, 'import.meta.url': 'importMetaUrl' }
    },
  },
  { ...shared, entry: { cli: 'lib/cli/main.ts' }, format: ['esm'], banner: { js: '#!/usr/bin/env node' } },
])
