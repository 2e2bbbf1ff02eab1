// Running other programs from the scripts, with their output kept for the moment something goes wrong.

import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A failure with its cause and what to do about it; printed without a stack. */
export class SetupError extends Error {
  constructor(message, fix) {
    super(message)
    this.name = 'SetupError'
    this.fix = fix
  }
}

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, show?: boolean }} [options]
 *   `show`: also passes the output on to this terminal while it runs.
 * @returns {Promise<{ code: number, output: string, stdout: string }>} never rejects: a program that cannot be started has code 127.
 */
export function run(program, args, { cwd = root, env = {}, show = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let stdout = ''
    const keep = (target) => (chunk) => {
      output += chunk
      if (target === process.stdout) stdout += chunk
      if (show) target.write(chunk)
    }
    child.stdout.setEncoding('utf8').on('data', keep(process.stdout))
    child.stderr.setEncoding('utf8').on('data', keep(process.stderr))
    child.once('error', (error) => resolve({ code: 127, output: `${program}: ${error.message}`, stdout: '' }))
    child.once('close', (code, signal) =>
      resolve({ code: code ?? 128, output: signal ? `${output}\nkilled by ${signal}` : output, stdout }),
    )
  })
}

/** Like run, but a program that fails is a SetupError with the end of its output and the fix. */
export async function must(program, args, fix, options) {
  const result = await run(program, args, options)
  if (result.code === 0) return result
  const lines = result.output.trimEnd().split('\n')
  const tail = lines
    .slice(-40)
    .map((line) => `    ${line}`)
    .join('\n')
  throw new SetupError(
    `\`${path.basename(program)} ${args.join(' ')}\` failed (exit code ${result.code}):\n${tail}`,
    fix,
  )
}
