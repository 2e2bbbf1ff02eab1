// How many tests of a runner passed, failed and were skipped, read from what it leaves behind.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** Sums a JUnit file, which pytest and vitest both write. @returns {Counts} */
export function readJunit(file) {
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

/** Sums what doctest prints at its end; those that a filter leaves out are no skipped tests. @returns {Counts} */
export function readDoctest(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const match of output.matchAll(/test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed/g)) {
    counts.passed += Number(match[1])
    counts.failed += Number(match[2])
  }
  return counts
}

/** How many native tests there are, from their sources: where they do not run, that many are skipped. */
export function countNativeTests(folder) {
  const sources = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.cc'))
  const cases = sources.flatMap((name) => readFileSync(path.join(folder, name), 'utf8').match(/^TEST_CASE/gm) ?? [])
  return cases.length
}
