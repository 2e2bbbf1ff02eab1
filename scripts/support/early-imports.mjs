// What a script of package.json imports before its set-up has run must be there in a fresh clone: Node's own modules and
// files of the repository, nothing that npm installs and nothing that is built. This follows the static imports.

import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import path from 'node:path'
import ts from 'typescript'
import { root as repository } from './command.mjs'

/** Folders that only set-up makes. */
const BUILT = ['dist', 'build', 'node_modules', 'programs', 'models']

/** The modules that a file imports statically, in the order of the file. */
function staticImports(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true, ts.ScriptKind.JS)
  return source.statements
    .filter((node) => (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier)
    .map((node) => node.moduleSpecifier.text)
}

/** Complaints about one file and everything that it imports; `via` says how it was reached. */
function follow(root, file, via, seen) {
  if (seen.has(file)) return []
  seen.add(file)
  const way = [...via, path.relative(root, file)]
  return staticImports(file).flatMap((name) => {
    if (isBuiltin(name)) return []
    const target = path.resolve(path.dirname(file), name)
    const isOurs = name.startsWith('.') && !BUILT.includes(path.relative(root, target).split(path.sep)[0])
    return isOurs ? follow(root, target, way, seen) : [`${way.join(' -> ')} imports ${name}`]
  })
}

/**
 * @param {string} [root] a folder with a package.json
 * @returns {string[]} a complaint per static import that a fresh clone cannot resolve, and per script that starts anything
 *   but one of our own files
 */
export function earlyImports(root = repository) {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  return Object.entries(scripts).flatMap(([name, command]) => {
    const file = /^node ([\w./-]+\.mjs)(?: [^&|;]*)?$/.exec(command)?.[1]
    if (!file) return [`"${name}" runs \`${command}\`: let it start a script of ours, which sets up first`]
    return follow(root, path.join(root, file), [`npm run ${name}`], new Set())
  })
}
