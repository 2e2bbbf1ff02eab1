// A room is a folder of native/, binding/, lib/ or server/ that has sources in it. rooms.json puts all of them on floors, from the
// ground up: a room uses (includes, imports) only what lies on lower floors. Lint holds the sources against it.
//
//   node scripts/support/rooms.mjs [FOLDER]   the house of a working tree in numbers

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { root as repository } from './command.mjs'

const TREES = ['native', 'binding', 'lib', 'server']

/** By its own name the package is what lib/ exports: so server/ uses it. */
const OWN_NAME = 'sam3-node'

/** What a C++ file includes of ours: paths from native/, or beside the file. */
function includes(root, file) {
  const text = readFileSync(path.join(root, file), 'utf8')
  return [...text.matchAll(/^#include "(.+)"/gm)]
    .flatMap(([, name]) => [path.join('native', name), path.join(path.dirname(file), name)])
    .filter((target) => existsSync(path.join(root, target)))
}

/** What a TypeScript file imports of ours: also types, and what is loaded only when it is needed. */
function imports(root, file) {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest)
  const names = []
  const visit = (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) names.push(node.moduleSpecifier)
    else if (ts.isImportTypeNode(node)) names.push(node.argument.literal)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      names.push(node.arguments[0])
    ts.forEachChild(node, visit)
  }
  visit(source)
  const texts = names.filter((name) => name && ts.isStringLiteral(name)).map((name) => name.text)
  return texts.flatMap((name) => {
    if (name === OWN_NAME) return ['lib/index.ts']
    return /^\..*\.js$/.test(name) ? [path.join(path.dirname(file), name.replace(/\.js$/, '.ts'))] : []
  })
}

/** Every source with those that it uses, as paths from `root`. @returns {Map<string, string[]>} */
function readUses(root) {
  const files = TREES.filter((tree) => existsSync(path.join(root, tree))).flatMap((tree) =>
    readdirSync(path.join(root, tree), { recursive: true }).map((name) => path.join(tree, name)),
  )
  const sources = files.filter((name) => /\.(cc|c|h|ts)$/.test(name)).sort()
  return new Map(sources.map((file) => [file, (file.endsWith('.ts') ? imports : includes)(root, file)]))
}

/** Every source of the repository with those of ours that it uses. */
export const sourcesUsed = () => readUses(repository)

/** Groups of nodes of which each reaches all others of its group: Tarjan's strongly connected components. */
function circlesOf(uses) {
  const order = new Map()
  const reach = new Map()
  const way = []
  const found = []
  const visit = (node) => {
    order.set(node, order.size)
    reach.set(node, order.get(node))
    way.push(node)
    for (const next of uses.get(node) ?? []) {
      if (!order.has(next)) visit(next)
      if (way.includes(next)) reach.set(node, Math.min(reach.get(node), reach.get(next)))
    }
    if (reach.get(node) !== order.get(node)) return
    const group = way.splice(way.indexOf(node))
    if (group.length > 1) found.push(group.sort())
  }
  for (const node of uses.keys()) if (!order.has(node)) visit(node)
  return found
}

/** @param {string} root a working tree with a rooms.json */
function readHouse(root) {
  const uses = readUses(root)
  const lists = Object.values(JSON.parse(readFileSync(path.join(root, 'scripts/support/rooms.json'), 'utf8')))
  const floors = new Map(lists.flatMap((list) => list.flatMap((rooms, floor) => rooms.map((room) => [room, floor]))))
  const arrows = new Map()
  for (const [file, used] of uses)
    for (const target of used) {
      const [from, to] = [path.dirname(file), path.dirname(target)]
      const arrow = `${from} -> ${to}`
      if (from !== to)
        arrows.set(arrow, { from, to, why: [...(arrows.get(arrow)?.why ?? []), `${file} uses ${target}`] })
    }
  const isDown = ({ from, to }) => floors.get(from) > floors.get(to)
  return {
    rooms: [...new Set([...uses.keys()].map((file) => path.dirname(file)))],
    floors,
    arrows: [...arrows.values()],
    up: [...arrows.values()].filter((arrow) => !isDown(arrow)),
    circles: circlesOf(uses),
  }
}

/**
 * @param {string} [root] a working tree
 * @returns {string[]} a complaint per room that rooms.json lacks, per listed room without a source, per pair of rooms of
 *   which one uses the other though it is not on a lower floor, and per circle of files
 */
export function roomFaults(root = repository) {
  const { rooms, floors, up, circles } = readHouse(root)
  return [
    ...rooms.filter((room) => !floors.has(room)).map((room) => `rooms.json does not list the room ${room}`),
    ...[...floors.keys()]
      .filter((room) => !rooms.includes(room))
      .map((room) => `rooms.json lists ${room}: no source there`),
    ...up.map(({ from, to, why }) => `${from} is not above ${to}: ${why.slice(0, 3).join(', ')}`),
    ...circles.map((group) => `files in a circle: ${group.join(', ')}`),
  ]
}

if (process.argv[1] === import.meta.filename) {
  const { rooms, arrows, up, circles } = readHouse(path.resolve(process.argv[2] ?? repository))
  console.log(
    `${rooms.length} rooms, ${arrows.length} arrows, ${up.length} of them up, ${circles.length} circles of files`,
  )
}
