// How every script begins in a clone where nothing is installed: set-up first, then one dynamic import of the module that
// does the work, which alone may import packages. `npm run lint` follows the static imports and complains of any other way.

import { setup } from '../setup.mjs'
import { report } from './steps.mjs'

/**
 * @template Options
 * @param {string[]} steps what must be set up before the module can be imported
 * @param {() => Promise<{ main: (context: object, options: Options) => Promise<void> }>} load imports that module
 * @param {Options} [options] handed on to its `main`
 */
export async function afterSetup(steps, load, options) {
  try {
    const context = await setup(steps)
    const { main } = await load()
    await main(context, options)
  } catch (error) {
    report(error)
  }
}
