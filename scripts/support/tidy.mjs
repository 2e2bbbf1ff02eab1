// clang-tidy over our own C++: .clang-tidy has the list of checks.

import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { root, run } from './command.mjs'
import { sourcesUsed } from './rooms.mjs'

const NODE_HEADERS = ['node_modules/node-addon-api', 'node_modules/node-api-headers/include']
const LIBTORCH_HEADER = /^#include <(ATen|c10|torch)\//m

/** Sources with whether they, or what they include of ours, include a header of LibTorch. */
function translationUnits() {
  const uses = sourcesUsed()
  const needsLibtorch = (file, seen = new Set()) => {
    if (seen.has(file)) return false
    seen.add(file)
    if (LIBTORCH_HEADER.test(readFileSync(path.join(root, file), 'utf8'))) return true
    return (uses.get(file) ?? []).some((used) => needsLibtorch(used, seen))
  }
  return [...uses.keys()]
    .filter((file) => file.endsWith('.cc'))
    .map((file) => ({ file, libtorch: needsLibtorch(file) }))
}

/**
 * @param {{ python: string, libtorch?: string }} context `python`: an interpreter with clang-tidy. Without `libtorch` only
 *   what needs none of its headers is looked at, which takes a second a file instead of ten.
 * @returns {Promise<{ files: number, complaints: string[] }>}
 */
export async function tidy({ python, libtorch }) {
  const units = translationUnits().filter((unit) => libtorch || !unit.libtorch)
  const torchHeaders = libtorch ? ['include', 'include/torch/csrc/api/include'].map((p) => path.join(libtorch, p)) : []
  const system = [...NODE_HEADERS, ...torchHeaders].flatMap((folder) => ['-isystem', folder])
  const flags = ['-std=c++20', '-Inative', '-DNAPI_VERSION=8', '-DNODE_ADDON_API_CPP_EXCEPTIONS', ...system]
  const complaints = []
  const waiting = [...units]
  const worker = async () => {
    for (let unit = waiting.shift(); unit; unit = waiting.shift()) {
      const start = ['-c', 'from clang_tidy import clang_tidy; clang_tidy()']
      const { code, stdout, output } = await run(python, [...start, '--quiet', unit.file, '--', ...flags])
      if (code !== 0) complaints.push(`${unit.file}:\n${stdout.trim() || output.trim()}`)
    }
  }
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker))
  return { files: units.length, complaints }
}

/** `npm run tidy`: every file. */
export async function main(context) {
  const { files, complaints } = await tidy(context)
  for (const text of complaints) console.log(text)
  console.log(`clang-tidy: ${files} files, ${complaints.length} with complaints.`)
  if (complaints.length) process.exitCode = 1
}
