// The tests of native/, without Node: builds their programs and runs them, warnings are errors. One of them has the tests
// of the engine's queue alone, always under ThreadSanitizer.
//
//   node scripts/native-test.mjs [--sanitize] [--fuzz N] [-- doctest's own options, as --test-case='json*']
//
// --sanitize   our code under AddressSanitizer and UndefinedBehaviorSanitizer, in a build tree of its own
// --fuzz N     N random cases for each reader instead of 20,000

import { parseArgs } from 'node:util'
import { FOR_NATIVE_TESTS } from './setup.mjs'
import { afterSetup } from './support/after-setup.mjs'

const separator = process.argv.indexOf('--')
const args = separator < 0 ? process.argv.slice(2) : process.argv.slice(2, separator)
const doctest = separator < 0 ? [] : process.argv.slice(separator + 1)
const { values } = parseArgs({ args, options: { sanitize: { type: 'boolean' }, fuzz: { type: 'string' } } })
await afterSetup(FOR_NATIVE_TESTS, () => import('./support/native-tests.mjs'), { ...values, doctest })
