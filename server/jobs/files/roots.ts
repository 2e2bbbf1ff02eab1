/** The folders that jobs may use: every path is followed to where it really leads, and refused where that is outside. */
import { realpathSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { type InputErrorCode, Sam3InputError, Sam3ServiceError } from 'sam3-node'
import { shortened } from '../../../lib/base/shown.js'

const isWithin = (folder: string, path: string) => {
  const way = relative(folder, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

export class Roots {
  readonly #given: readonly string[]
  readonly #real: readonly string[]

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` for a folder that is not there */
  constructor(folders: readonly string[]) {
    this.#given = folders.map((folder) => resolve(folder))
    this.#real = this.#given.map((folder) => {
      try {
        return realpathSync(folder)
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException
        throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The folder ${folder} for jobs cannot be used (${code}).`, {
          cause,
          fix: 'Make it first, or name another one with --job-roots.',
        })
      }
    })
  }

  /**
   * Where a path to read really leads. A relative one starts at the first folder.
   * @param missing The code of the error where nothing is there.
   * @throws Sam3ServiceError `ERR_PATH_REFUSED`; Sam3InputError
   */
  async input(name: string, missing: InputErrorCode = 'ERR_IMAGE_NOT_FOUND'): Promise<string> {
    const path = this.#lexical(name)
    const real = await realpath(path).catch((cause) => {
      throw new Sam3InputError(missing, `${shortened(name)} cannot be opened (${cause.code}).`, {
        fix: 'Check the path; a relative one starts at the first of the folders for jobs.',
      })
    })
    return this.#inside(real, name)
  }

  /**
   * Where a file to write will really be; folders that are missing are counted as what they would be.
   * @throws Sam3ServiceError `ERR_PATH_REFUSED`
   */
  async output(name: string): Promise<string> {
    const path = this.#lexical(name)
    if (/[/\\]$/.test(name)) throw refused(name, 'is the name of a folder')
    const rest: string[] = []
    for (let at = path; ; at = dirname(at)) {
      const real = await realpath(at).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw refused(name, `cannot be written (${error.code})`)
      })
      if (real !== undefined) return this.#inside(join(real, ...rest), name)
      rest.unshift(at.slice(dirname(at).length).replace(/^\//, ''))
    }
  }

  /** A text in which the folders have no place: what lies above them is nobody's business. */
  hide(text: string): string {
    return [...this.#real, ...this.#given].reduce((hidden, folder) => {
      return hidden.replaceAll(`${folder}${sep}`, '').replaceAll(folder, '.')
    }, text)
  }

  /** Refuses what is outside already by its name, so that nobody learns what is there. */
  #lexical(name: string): string {
    const [first] = this.#given
    if (first === undefined) {
      throw new Sam3ServiceError('ERR_PATH_REFUSED', 'This service gives jobs no folder.', {
        fix: 'Name folders that jobs may read and write with --job-roots.',
      })
    }
    if (name.includes('\0')) throw refused(name, 'is no path')
    const path = resolve(first, name)
    return this.#inside(path, name, this.#given)
  }

  #inside(path: string, name: string, more: readonly string[] = []): string {
    if ([...this.#real, ...more].some((root) => isWithin(root, path))) return path
    throw refused(name, 'leads out of the folders that jobs may use')
  }
}

function refused(name: string, why: string): Sam3ServiceError {
  return new Sam3ServiceError('ERR_PATH_REFUSED', `${shortened(name.replaceAll('\0', '?'))} ${why}.`, {
    fix: 'Use a path under one of the folders for jobs.',
  })
}
