/** The outputs of a job: written beside where they go, or into its checkpoint, and put in place when all are complete. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { isAddress } from '../job/request.js'
import { type Checkpoint, fileKey } from './checkpoint.js'
import type { JobFiles } from './job-files.js'
import { moveInPlace } from './whole-file.js'

/** Under this name the checkpoint holds that all outputs are complete, and the job's result. */
const COMPLETE = 'complete'

interface Staged {
  place: string
  /** The file that is complete. */
  path: string
}

interface Complete {
  staged: Staged[]
  result: unknown
}

export class Outputs {
  readonly #files: JobFiles
  readonly #checkpoint: Checkpoint
  readonly #key: string
  /** Names of this try's files: of one that was thought dead, and is not, they are others. */
  readonly #try = randomBytes(6).toString('hex')
  #staged: Staged[] = []

  constructor(files: JobFiles, checkpoint: Checkpoint, id: string) {
    this.#files = files
    this.#checkpoint = checkpoint
    this.#key = fileKey(id)
  }

  /** A file to write an output into. */
  async stage(place: string): Promise<string> {
    const name = `.sam3-${this.#key}-${this.#try}-${this.#staged.length}`
    const target = isAddress(place) ? undefined : await this.#files.roots.output(place)
    const folder = target === undefined ? this.#checkpoint.folder : dirname(target)
    await mkdir(folder, { recursive: true })
    await this.#sweep(folder)
    const ending = extname(target ?? new URL(place).pathname)
    const path = join(folder, `${name}${ending}`)
    this.#staged.push({ place, path })
    return path
  }

  /** All that was staged is written: from here on another try only has to put it in place. */
  async complete(result: unknown): Promise<void> {
    await this.#checkpoint.write(COMPLETE, { staged: this.#staged, result } satisfies Complete)
  }

  /** Puts complete outputs in place, those of an earlier try as well; gives the result, or undefined if there are none. */
  async publish<T>(signal: AbortSignal): Promise<T | undefined> {
    const complete = await this.#checkpoint.read<Complete>(COMPLETE)
    if (!complete) return undefined
    for (const { place, path } of complete.staged) {
      signal.throwIfAborted()
      // Where it is no longer there, an earlier try has put it in place; where it is nowhere, the machine has lost it.
      const isStaged = existsSync(path)
      if (isAddress(place)) {
        if (isStaged) await this.#files.remote.upload(path, place, signal)
        await rm(path, { force: true })
      } else {
        const target = await this.#files.roots.output(place)
        if (isStaged) await moveInPlace(path, target)
        else if (!existsSync(target)) return undefined
      }
    }
    return complete.result as T
  }

  /** Deletes what is not complete. */
  async discard(): Promise<void> {
    for (const { path } of this.#staged) await rm(path, { force: true })
  }

  /** Deletes what tries that were killed have left. */
  async #sweep(folder: string): Promise<void> {
    for (const name of await readdir(folder)) {
      const isOld = name.startsWith(`.sam3-${this.#key}-`) && !name.includes(this.#try)
      if (isOld) await rm(join(folder, name), { force: true })
    }
  }
}
