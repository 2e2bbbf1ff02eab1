// `npm test`: set-up, lint, then the native, Python and Node tests, and one line with the sum at the very end.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { lint } from './lint.mjs'
import { FOR_TESTS, setup } from './setup.mjs'
import { root, run } from './support/command.mjs'
import { report } from './support/steps.mjs'

/** The exit code by which a runner says that it cannot run here; its last line of output is the reason. */
const SKIPPED = 77

/** Sums a JUnit file, which pytest and vitest both write. */
function readJunit(file) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return counts // the runner died before it wrote anything
  }
  for (const [tag] of text.matchAll(/<testsuite .*?>/gs)) {
    const number = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(tag)?.[1] ?? 0)
    const failed = number('failures') + number('errors')
    counts.failed += failed
    counts.skipped += number('skipped')
    counts.passed += number('tests') - failed - number('skipped')
  }
  return counts
}

/** Sums what doctest prints at its end. */
function readDoctest(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const match of output.matchAll(
    /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/g,
  )) {
    counts.passed += Number(match[1])
    counts.failed += Number(match[2])
  }
  return counts
}

function runners(python, scratch) {
  const junit = (name) => path.join(scratch, `${name}.xml`)
  return [
    {
      name: 'native',
      program: process.execPath,
      args: ['scripts/native-test.mjs'],
      count: (output) => readDoctest(output),
    },
    {
      name: 'python',
      program: python,
      args: ['-m', 'pytest', 'test/python', '-q', '-p', 'no:cacheprovider', `--junitxml=${junit('python')}`],
      count: () => readJunit(junit('python')),
    },
    {
      name: 'node',
      program: path.join(root, 'node_modules', '.bin', 'vitest'),
      args: ['run', '--reporter=default', '--reporter=junit', `--outputFile.junit=${junit('node')}`],
      count: () => readJunit(junit('node')),
    },
  ]
}

async function runAll(python) {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'sam3-test-'))
  const results = []
  for (const { name, program, args, count } of runners(python, scratch)) {
    console.log(`\n=== ${name} tests`)
    const begun = performance.now()
    const { code, output } = await run(program, args, { show: true })
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    if (code === SKIPPED) {
      results.push({
        name,
        passed: 0,
        failed: 0,
        skipped: 0,
        seconds,
        note: `not run: ${output.trim().split('\n').pop()}`,
      })
      continue
    }
    const counts = count(output)
    const total = counts.passed + counts.failed
    // A runner that failed, or ran nothing, without naming a test is a failure of its own.
    if ((code !== 0 && counts.failed === 0) || total === 0) counts.failed += 1
    results.push({ name, ...counts, seconds, note: code === 0 ? '' : `exit code ${code}` })
  }
  rmSync(scratch, { recursive: true, force: true })
  return results
}

try {
  const { python } = await setup(FOR_TESTS)
  console.log('=== lint and format')
  const complaints = await lint({ python })
  console.log(complaints.length ? `failed: ${complaints.join(', ')} (\`npm run format\` mends most of it)` : 'clean')

  const results = await runAll(python)
  console.log('\n=== summary')
  for (const { name, passed, failed, skipped, seconds, note } of results) {
    console.log(
      `${name.padEnd(8)}${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds} s${note ? ` (${note})` : ''}`,
    )
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  const failed = sum('failed') + complaints.length
  if (complaints.length) console.log(`lint    ${complaints.length} failed`)
  console.log(`${sum('passed')} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
} catch (error) {
  report(error)
  console.log('0 passed, 1 failed')
}
