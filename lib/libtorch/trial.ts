/**
 * Opens LibTorch and the engine in a process of its own before they are opened here: a library for another system or
 * with another ABI than its version promises may crash the process that opens it. What has passed once is remembered.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Sam3EnvironmentError } from '../base/errors.js'
import { storeFolder } from './store.js'

/** What is opened. */
export interface Trial {
  loader: string
  /** LibTorch's, in the order in which they are opened. */
  libraries: readonly string[]
  /** Left out: LibTorch alone. */
  engine?: string
  /** Also try the engine's own kernels on every GPU. */
  kernels?: boolean
}

/** A first start reads gigabytes of CUDA libraries from the disk. */
const TIMEOUT = 300_000

const PROGRAM = `
const [loader, engine, kernels, ...libraries] = process.argv.slice(1)
const { open } = require(loader)
for (const library of libraries) open(library)
let info = null
if (engine) {
  const module = { exports: {} }
  process.dlopen(module, engine, require('node:os').constants.dlopen.RTLD_NOW)
  info = module.exports.info()
  if (kernels) info.kernels = module.exports.kernels()
  module.exports.stop()
}
console.log('works ' + JSON.stringify(info))`

/**
 * @returns what `info()` of the engine gives, and `kernels()` where it was asked for; null where none was opened
 * @throws Sam3EnvironmentError `ERR_LIBTORCH_LOAD`
 */
export function tryInChild({ loader, libraries, engine = '', kernels = false }: Trial, fix: string): Promise<unknown> {
  // Electron's own executable is Node only when it is asked to be.
  const env = { ...process.env, ELECTRON_RUN_AS_NODE: '1' }
  const args = ['-e', PROGRAM, loader, engine, kernels ? 'kernels' : '', ...libraries]
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env, timeout: TIMEOUT }, (error, stdout, stderr) => {
      const works = /^works (.*)$/m.exec(stdout)?.[1]
      if (!error && works) return resolve(JSON.parse(works))
      const said = /^(?:Error: )?(.*(?:could not be loaded|undefined symbol|not found|cannot open).*)$/m.exec(
        stderr,
      )?.[1]
      const how = error?.killed
        ? `it did not end within ${TIMEOUT / 1000} s`
        : error?.signal
          ? `a process that tried crashed with ${error.signal}`
          : (said ?? stderr.trim().split('\n').at(-1) ?? 'it ended without a word')
      reject(
        new Sam3EnvironmentError(
          'ERR_LIBTORCH_LOAD',
          `The engine cannot be opened with the LibTorch in ${dirname(dirname(libraries[0] ?? ''))}: ${how.replace(/\.$/, '')}.`,
          { cause: error ?? undefined, fix },
        ),
      )
    })
  })
}

function fingerprint(file: string): string {
  const { size, mtimeMs, ino } = statSync(file)
  return `${file} ${size} ${mtimeMs} ${ino}`
}

/** Like {@link tryInChild}, but not again for files that have passed and are unchanged. */
export async function tryOnce(trial: Trial, fix: string): Promise<void> {
  const files = [trial.loader, ...trial.libraries, ...(trial.engine ? [trial.engine] : [])]
  const key = createHash('sha256')
    .update([process.version, ...files.map(fingerprint)].join('\n'))
    .digest('hex')
  const folder = join(dirname(storeFolder(process.env)), 'tried')
  const memory = join(folder, key)
  if (existsSync(memory)) return
  await tryInChild(trial, fix)
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(memory, `${files.join('\n')}\n`)
  } catch {
    // no place to remember it: the next process tries again
  }
}
