import { defineConfig } from 'tsup'

const shared = { target: 'node20', platform: 'node', sourcemap: true, splitting: false } as const

/** Code that stays a file of its own: server.js loads service.js, which needs the optional packages, when it is used. */
const SERVICE = './service.js'

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
  {
    ...shared,
    entry: { server: 'server/index.ts' },
    format: ['esm', 'cjs'],
    dts: true,
    external: ['sam3-node', SERVICE],
    esbuildOptions(options, { format }) {
      if (format !== 'cjs') return
      options.inject = [...(options.inject ?? []), 'scripts/support/import-meta-url.js']
      options.define = { ...options.define, 'import.meta.url': 'importMetaUrl' }
    },
  },
  { ...shared, entry: { service: 'server/service.ts' }, format: ['esm'], external: ['sam3-node'] },
])
