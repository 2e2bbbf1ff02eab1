/** Runs the project's Python, the second opinion of several tests. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { repositoryRoot } from './paths.js'
import { without } from './without.js'

const candidates = [process.env.SAM3_PYTHON, `${repositoryRoot}/.venv/bin/python`, 'python3']

function canImport(python: string, modules: readonly string[]): boolean {
  if (python.includes('/') && !existsSync(python)) return false
  try {
    execFileSync(python, ['-c', `import ${modules.join(', ')}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * The first Python that has all of `modules`.
 * @throws Error where none has them, unless the tests run without Python's second opinion on request
 */
export function pythonWith(...modules: string[]): string {
  const found = candidates.find((python) => python !== undefined && canImport(python, modules))
  if (!found && !without('python'))
    throw new Error(
      `No Python here has ${modules.join(', ')}: npm run setup test-packages, or npm test -- --without python.`,
    )
  return found ?? 'python3'
}

/** Runs a script with JSON on stdin and reads JSON from its stdout. */
export function runPython(python: string, args: readonly string[], input: unknown = null): unknown {
  const output = execFileSync(python, [...args], { input: JSON.stringify(input), maxBuffer: 1 << 28 })
  return JSON.parse(output.toString('utf8'))
}
