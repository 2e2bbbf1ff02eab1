// `npm test`: set-up, lint, then the native, Python and Node tests, and one line with the sum at the very end.
//
//   npm test -- [WORD...] [--without NAME[,NAME...]] [--long] [--standin]
//
// WORD       only the tests that have it in the names of their files, native ones in their own, as `npm test -- golden`
// --without  what this machine does without: chromium, curl, ffmpeg, redis, native, python, root; what needs it counts as skipped
// --long     what `npm test` does in a short form: 2,000 frames of one video, 400,000 random files for each reader,
//            workers of jobs killed at 20 points, 10,000 requests that fit the OpenAPI document or just not
// --standin  only the tests of models through lib/, all of them, on the stand-in for a GPU; else a few of them

import { parseArgs } from 'node:util'
import { FOR_LINT, FOR_NATIVE_TESTS, FOR_TESTS } from './setup.mjs'
import { afterSetup } from './support/after-setup.mjs'

/** What can be done without, and what is set up for it otherwise. */
const OPTIONAL = {
  chromium: ['chromium'],
  curl: ['curl'],
  ffmpeg: ['ffmpeg'],
  redis: ['redis'],
  native: FOR_NATIVE_TESTS,
  python: [],
  root: ['iproute'],
}

const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    without: { type: 'string', multiple: true, default: [] },
    long: { type: 'boolean', default: false },
    standin: { type: 'boolean', default: false },
  },
})
const without = values.without.flatMap((list) => list.split(',')).filter(Boolean)
const unknown = without.filter((name) => !Object.hasOwn(OPTIONAL, name))
if (unknown.length > 0) {
  console.error(`--without ${unknown.join(',')}: it can be done without ${Object.keys(OPTIONAL).join(', ')}.`)
  process.exit(2)
}
const optional = Object.keys(OPTIONAL).filter((name) => !without.includes(name))
const { long, standin } = values
const steps = standin
  ? [...FOR_NATIVE_TESTS, ...FOR_TESTS]
  : [...FOR_LINT, ...FOR_TESTS, ...optional.flatMap((name) => OPTIONAL[name])]
await afterSetup(steps, () => import('./support/tests.mjs'), { words, without, long, standin })
