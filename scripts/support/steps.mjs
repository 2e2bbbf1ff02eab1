// Named, timed steps that are skipped when nothing they depend on has changed.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { root, SetupError } from './command.mjs'

const STAMP = '.stamp'

function addFiles(hash, name) {
  const file = path.join(root, name)
  if (!existsSync(file)) return hash.update(`${name}: absent\n`)
  if (statSync(file).isDirectory()) {
    for (const entry of readdirSync(file).sort()) {
      if (entry !== '__pycache__') addFiles(hash, path.join(name, entry))
    }
  } else {
    hash.update(`${name}\n`).update(readFileSync(file))
  }
}

/** One hash over the contents of files and folders (relative to the root) and over plain values. */
export function hashInputs({ files = [], values = [] }) {
  const hash = createHash('sha256')
  for (const name of files) addFiles(hash, name)
  hash.update(JSON.stringify(values))
  return hash.digest('hex')
}

/**
 * Whether `outputs` were made from exactly these inputs. The stamp lies in the folder it vouches for, so that removing
 * the folder removes the stamp.
 */
export function isStamped(folder, outputs, inputs) {
  const stamp = path.join(root, folder, STAMP)
  if (!existsSync(stamp) || !outputs.every((name) => existsSync(path.join(root, folder, name)))) return false
  return readFileSync(stamp, 'utf8') === hashInputs(inputs)
}

/** Records that the folder's outputs were made from these inputs. */
export function stamp(folder, inputs) {
  mkdirSync(path.join(root, folder), { recursive: true })
  writeFileSync(path.join(root, folder, STAMP), hashInputs(inputs))
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

/**
 * Runs the wanted steps and everything they need, in the order of `all`.
 * @typedef {{ name: string, title: string, needs?: string[], run: (context: object) => Promise<string> }} Step
 *   `run` does the work unless it is done already, and returns one line on the outcome.
 * @param {Step[]} all
 * @param {string[]} wanted names of steps
 * @param {object} context handed to every step, which may add to it
 */
export async function runSteps(all, wanted, context) {
  const chosen = new Set()
  const choose = (name) => {
    const step = all.find((candidate) => candidate.name === name)
    if (!step) throw new SetupError(`There is no step "${name}".`, `Use one of: ${all.map((s) => s.name).join(', ')}.`)
    if (!chosen.has(name)) step.needs?.forEach(choose)
    chosen.add(name)
  }
  wanted.forEach(choose)
  const steps = all.filter((step) => chosen.has(step.name))
  const started = performance.now()
  for (const [index, step] of steps.entries()) {
    const label = `[${index + 1}/${steps.length}] ${step.title}`
    if (process.stdout.isTTY) process.stdout.write(`${label} ...`)
    const begun = performance.now()
    try {
      const outcome = await step.run(context)
      const line = `${label}: ${outcome} (${seconds(begun)})`
      process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`)
    } catch (error) {
      process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${label}: failed\n` : `${label}: failed\n`)
      throw error
    }
  }
  console.log(`Set-up finished in ${seconds(started)}.\n`)
}

/** Prints a failure the way a person wants to read it, and sets the exit code. */
export function report(error) {
  if (error instanceof SetupError) {
    console.error(`\nError: ${error.message}\n\nWhat to do: ${error.fix}`)
  } else {
    console.error(error)
  }
  process.exitCode = 1
}
