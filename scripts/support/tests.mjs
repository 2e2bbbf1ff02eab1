// What `npm test` does once everything is set up: lint, and the three runners, vitest a second time on the stand-in for a
// GPU. Those of native code and Python each leave a core idle most of the time, so they run beside each other; vitest has
// two workers and needs both cores.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { root, run } from './command.mjs'
import { lint } from './lint.mjs'
import { buildStandinEngine, nativeTests } from './native-tests.mjs'
import { countNativeTests, readDoctest, readJunit } from './test-counts.mjs'

const NATIVE = 'test/native'
const PYTHON = 'test/python'
/** Random files for each native reader under --long. */
const MANY_CASES = '400000'

/** The files of a folder of tests whose names contain one of the words; all where there are none. */
function chosen(folder, words, pattern) {
  const files = readdirSync(path.join(root, folder)).filter((name) => pattern.test(name))
  return files
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .map((name) => path.join(folder, name))
}

async function runNative(context, { words, without, long }) {
  if (without.includes('native'))
    return { code: 0, counts: { passed: 0, failed: 0, skipped: countNativeTests(path.join(root, NATIVE)) } }
  const doctest = words.length > 0 ? [`--test-case=${words.map((word) => `*${word}*`).join(',')}`] : []
  const { code, output } = await nativeTests(context, { doctest, fuzz: long ? MANY_CASES : undefined })
  return { code, counts: readDoctest(output) }
}

async function runPython({ python }, { words }, scratch) {
  const junit = path.join(scratch, 'python.xml')
  const files = chosen(PYTHON, words, /^test_.*\.py$/)
  if (files.length === 0) return { code: 0, counts: { passed: 0, failed: 0, skipped: 0 } }
  const args = ['-m', 'pytest', ...files, '-q', '-p', 'no:cacheprovider', `--junitxml=${junit}`]
  // Shown once it is over, not between the lines of the native tests; two programs with a thread a core each would wait
  // for one another.
  const { code, output } = await run(python, args, { env: { OMP_NUM_THREADS: '1' } })
  return { code, counts: readJunit(junit), output }
}

async function vitest(config, words, env, junit) {
  const reporters = ['--reporter=default', '--reporter=junit', `--outputFile.junit=${junit}`]
  const args = ['run', '--config', path.join(root, config), ...words, '--passWithNoTests', ...reporters]
  const { code } = await run(path.join(root, 'node_modules/.bin/vitest'), args, { show: true, env })
  return { code, counts: readJunit(junit) }
}

function runNode(_context, { words, without, long }, scratch) {
  const longForms = { SAM3_LONG_VIDEO: '1', SAM3_LONG_JOBS: '1', SAM3_LONG_FUZZ: '1' }
  const env = { SAM3_TEST_WITHOUT: without.join(','), ...(long && longForms) }
  return vitest('vitest.config.ts', words, env, path.join(scratch, 'node.xml'))
}

async function runStandin(context, { words, without, standin }, scratch) {
  // How many those are only vitest knows.
  if (without.includes('native')) return { code: 0, counts: { passed: 0, failed: 0, skipped: 1 } }
  await buildStandinEngine(context)
  const env = { SAM3_TEST_WITHOUT: without.join(','), ...(standin && { SAM3_LONG_STANDIN: '1' }) }
  return vitest('test/standin.config.ts', words, env, path.join(scratch, 'standin.xml'))
}

/** What runs beside each other, one group after the other; only the first of a group shows its output as it comes. */
const GROUPS = [{ native: runNative, python: runPython }, { node: runNode }, { standin: runStandin }]

/** Runs one runner. @returns the row of the summary, and the output that it kept for later */
async function rowOf(name, runTests, context, options, scratch) {
  const begun = performance.now()
  const { code, counts, output } = await runTests(context, options, scratch).catch((error) => ({
    code: 1,
    counts: { passed: 0, failed: 0, skipped: 0 },
    output: error.message,
  }))
  // A runner that failed, or ran nothing though nobody chose, without naming a test is a failure of its own.
  const ranNothing = counts.passed + counts.failed + counts.skipped === 0 && options.words.length === 0
  if ((code !== 0 && counts.failed === 0) || ranNothing) counts.failed += 1
  return { row: { name, ...counts, seconds: ((performance.now() - begun) / 1000).toFixed(1), code }, output }
}

/** One row of the summary for each runner. */
async function runAll(context, options) {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'sam3-test-'))
  const rows = []
  for (const group of options.standin ? [{ standin: runStandin }] : GROUPS) {
    const running = Object.entries(group).map(([name, runTests]) => [
      name,
      rowOf(name, runTests, context, options, scratch),
    ])
    for (const [name, pending] of running) {
      console.log(`\n=== ${name} tests`)
      const { row, output } = await pending
      if (output) console.log(output)
      rows.push(row)
    }
  }
  rmSync(scratch, { recursive: true, force: true })
  return rows
}

/**
 * @param {{ python: string, libtorch: string, doctest?: string }} context of the set-up
 * @param {{ words: string[], without: string[], long: boolean, standin: boolean }} options
 */
export async function main(context, options) {
  const isWhole = options.words.length === 0 && !options.standin
  const complaints = isWhole ? await lint(context) : []
  if (isWhole) {
    console.log('=== lint and format')
    console.log(complaints.length ? `failed: ${complaints.join(', ')} (\`npm run format\` mends most of it)` : 'clean')
  }
  const rows = await runAll(context, options)
  console.log('\n=== summary')
  for (const { name, passed, failed, skipped, seconds, code } of rows) {
    const note = code === 0 ? '' : ` (exit code ${code})`
    console.log(`${name.padEnd(8)}${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds} s${note}`)
  }
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0)
  const total = { passed: sum('passed'), failed: sum('failed') + complaints.length, skipped: sum('skipped') }
  if (complaints.length) console.log(`lint    ${complaints.length} failed`)
  if (options.without.length) console.log(`skipped on request: without ${options.without.join(', ')}`)
  if (!isWhole && total.passed + total.failed === 0) {
    console.log(`No test file has ${options.words.join(' or ')} in its name.`)
    total.failed = 1
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  process.exitCode = total.failed === 0 ? 0 : 1
}
