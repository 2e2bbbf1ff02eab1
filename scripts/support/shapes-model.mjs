// A model of the true size for tests that compute shapes only: its weights are a file of holes, which takes no disk.

import { mkdirSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync, closeSync } from 'node:fs'
import path from 'node:path'
import { root } from './command.mjs'

const PROGRAM = path.join('programs', 'sam3')
const FOLDER = path.join('build', 'native-goldens', 'shapes')
const BYTES = 2 // of a number in bfloat16

/** Every parameter under its own name, one after the other. */
function headerOf(tensors) {
  const header = {}
  let end = 0
  for (const { name, shape } of tensors) {
    const begin = end
    end += shape.reduce((size, side) => size * side, BYTES)
    header[name] = { dtype: 'BF16', shape, data_offsets: [begin, end] }
  }
  return { header, size: end }
}

function writeHoles(file, { header, size }) {
  const text = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  const opened = openSync(file, 'w')
  writeSync(opened, Buffer.concat([length, padded]))
  closeSync(opened)
  truncateSync(file, length.length + padded.length + size)
}

/**
 * Makes the model, and names it in variables of the environment. The program is that of the set-up.
 * @returns {Record<string, string>}
 */
export function shapesEnvironment() {
  const names = JSON.parse(readFileSync(path.join(root, PROGRAM, 'names.json'), 'utf8'))
  mkdirSync(path.join(root, FOLDER), { recursive: true })
  writeHoles(path.join(root, FOLDER, 'model.safetensors'), headerOf(names.tensors))
  for (const tensor of names.tensors)
    for (const form of Object.keys(names.ignored)) tensor[form] = { op: 'copy', from: [tensor.name] }
  for (const form of Object.keys(names.ignored)) names.ignored[form] = []
  writeFileSync(path.join(root, FOLDER, 'names.json'), JSON.stringify(names))
  return { SAM3_SHAPES_PROGRAM: path.join(root, PROGRAM), SAM3_SHAPES_WEIGHTS: path.join(root, FOLDER) }
}
