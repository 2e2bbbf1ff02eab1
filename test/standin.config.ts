import { fileURLToPath } from 'node:url'
import { defineConfig, mergeConfig } from 'vitest/config'
import base from '../vitest.config.js'

/** The tests of models on the stand-in for a GPU: a few in `npm test`, all of lib/ by `npm run test:standin`. */
const SHORT = [
  'model/device',
  'model/golden-image',
  'model/golden-clicks',
  'model/stages',
  'video/session/golden-tracker',
]
const LONG = ['model/*', 'video/session/*']

const at = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export default mergeConfig(
  { ...base, test: { ...base.test, include: [] } },
  defineConfig({
    test: {
      root: at('..'),
      include: (process.env.SAM3_LONG_STANDIN === '1' ? LONG : SHORT).map((name) => `test/lib/${name}.test.ts`),
      setupFiles: [at('support/standin.ts')],
      // node-gyp-build takes the addon of sam3-node from there.
      env: { SAM3_NODE_PREBUILD: at('../build/standin'), SAM3_TEST_DEVICE: 'cuda', SAM3_TEST_STANDIN: '1' },
    },
  }),
)
