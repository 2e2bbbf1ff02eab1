// The checks of lint: style of every language here, types, the API reference, what the scripts import before
// set-up, and which rooms of the code use which.

import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { root, run } from './command.mjs'
import { earlyImports } from './early-imports.mjs'
import { roomFaults } from './rooms.mjs'
import { tidy } from './tidy.mjs'

function nativeSources() {
  return ['native', 'binding', 'test/native', 'bench/native'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true })
      .filter((name) => /\.(cc|h|c)$/.test(name))
      .map((name) => path.join(folder, name)),
  )
}

/** Installed by pip, but a program of its own, beside the interpreter. */
function hadolintOf(python) {
  const beside = path.join(path.dirname(python), 'hadolint')
  return existsSync(beside) ? beside : 'hadolint'
}

/**
 * @param {{ python: string, fix?: boolean }} options `python`: an interpreter with ruff and clang-format
 * @returns {Promise<string[]>} the names of the checks that failed; their output is printed
 */
export async function lint({ python, fix = false }) {
  const bin = (name) => path.join(root, 'node_modules', '.bin', name)
  const ruff = ['-m', 'ruff']
  const clangFormat = ['-c', 'from clang_format import clang_format; clang_format()']
  const checks = [
    ['biome', bin('biome'), ['check', '--error-on-warnings', ...(fix ? ['--write'] : [])]],
    ['tsc', bin('tsc'), ['--noEmit']],
    ['tsc of the page', bin('tsc'), ['--project', 'server/page']],
    ['typedoc', bin('typedoc'), ['--logLevel', 'Warn']],
    ['ruff check', python, [...ruff, 'check', '--quiet', ...(fix ? ['--fix'] : []), '.']],
    ['ruff format', python, [...ruff, 'format', '--quiet', ...(fix ? [] : ['--check', '--diff']), '.']],
    ['hadolint', hadolintOf(python), ['Dockerfile', 'deploy/Dockerfile']],
    ['clang-format', python, [...clangFormat, ...(fix ? ['-i'] : ['--dry-run', '--Werror']), ...nativeSources()]],
  ]
  const results = await Promise.all(checks.map(([, program, args]) => run(program, args)))
  const { complaints: untidy } = await tidy({ python })
  const failed = []
  for (const [name, complaints] of Object.entries({
    'imports before set-up': earlyImports(),
    rooms: roomFaults(),
    'clang-tidy': untidy,
  })) {
    if (complaints.length === 0) continue
    failed.push(name)
    console.log(`--- ${name}\n${complaints.join('\n')}`)
  }
  for (const [index, result] of results.entries()) {
    if (result.code === 0) continue
    failed.push(checks[index][0])
    console.log(`--- ${checks[index][0]}\n${result.output.trim().split('\n').slice(0, 60).join('\n')}`)
  }
  return failed
}

/**
 * `npm run lint` and `npm run format`.
 * @param {{ python: string }} context
 * @param {{ fix: boolean }} options
 */
export async function main({ python }, { fix }) {
  const failed = await lint({ python, fix })
  console.log(
    failed.length ? `Failed: ${failed.join(', ')}. \`npm run format\` mends most of it.` : 'Lint and format: clean.',
  )
  if (failed.length) process.exitCode = 1
}
