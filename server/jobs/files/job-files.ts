/** What jobs read and write: files under the folders of the service, and addresses where these are allowed. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { Sam3InputError, Sam3ServiceError } from 'sam3-node'
import { shortened } from '../../../lib/base/shown.js'
import { isImageName } from '../../../lib/video/source/list.js'
import { inputsOf, isAddress, type JobRequest, outputsOf, shownPlace } from '../job/request.js'
import type { Roots } from './roots.js'

/** Transfers from and to addresses. */
export interface Remote {
  /** @throws Sam3ServiceError `ERR_URL_REFUSED` for an address that may not be asked */
  check(address: string): void
  /** The bytes behind an address, into a file. */
  download(address: string, file: string, signal: AbortSignal): Promise<void>
  /** The bytes behind an address. */
  read(address: string, signal: AbortSignal): Promise<Uint8Array>
  /** Sends a file by PUT. */
  upload(file: string, address: string, signal: AbortSignal): Promise<void>
}

/** Most images of one job, those in its folders included. */
const MOST_IMAGES = 1_000_000

export class JobFiles {
  readonly roots: Roots
  /** Where jobs keep what they have finished. */
  readonly workFolder: string
  readonly #remote: Remote | undefined
  readonly #maxBytes: number

  /** @param maxBytes Of one image. */
  constructor(roots: Roots, workFolder: string, maxBytes: number, remote?: Remote) {
    this.roots = roots
    this.workFolder = workFolder
    this.#maxBytes = maxBytes
    this.#remote = remote
  }

  /** @throws Sam3ServiceError `ERR_URL_REFUSED` where addresses are not taken */
  get remote(): Remote {
    if (this.#remote) return this.#remote
    throw new Sam3ServiceError('ERR_URL_REFUSED', 'This service takes no addresses.', {
      fix: 'Use paths, or start it with --url-hosts.',
    })
  }

  /**
   * Refuses places that a job may not use, before it waits for hours.
   * @throws Sam3ServiceError `ERR_PATH_REFUSED`, `ERR_URL_REFUSED`; Sam3InputError for what is not there
   */
  async check(job: JobRequest): Promise<void> {
    for (const place of inputsOf(job)) {
      if (isAddress(place)) this.remote.check(place)
      else await this.roots.input(place, job.kind === 'track' ? 'ERR_VIDEO_NOT_FOUND' : undefined)
    }
    const outputs = outputsOf(job).map(([, place]) => place)
    for (const place of outputs) {
      if (isAddress(place)) this.remote.check(place)
      else await this.#checkOutput(place)
    }
  }

  /** The images of a job: addresses and files as they are, folders as all images in them. */
  async listImages(names: readonly string[], signal: AbortSignal): Promise<string[]> {
    const images: string[] = []
    for (const name of names) {
      signal.throwIfAborted()
      const real = isAddress(name) ? undefined : await this.roots.input(name).catch(() => undefined)
      const isFolder = real !== undefined && (await stat(real)).isDirectory()
      // What cannot be found is reported with the other failures when its turn comes.
      if (isFolder) images.push(...(await imagesIn(name, real)))
      else images.push(name)
      if (images.length > MOST_IMAGES) {
        throw new Sam3ServiceError('ERR_TOO_LARGE', `A job has at most ${MOST_IMAGES} images.`, {
          fix: 'Make several jobs of it.',
        })
      }
    }
    return images
  }

  /** The bytes of an image. */
  async readImage(name: string, signal: AbortSignal): Promise<Uint8Array> {
    if (isAddress(name)) return this.remote.read(name, signal)
    const path = await this.roots.input(name)
    const found = await stat(path)
    if (!found.isFile()) {
      throw new Sam3InputError('ERR_IMAGE_NOT_FOUND', `${shortened(name)} is no file.`, { fix: 'Name an image.' })
    }
    if (found.size > this.#maxBytes) {
      throw new Sam3ServiceError('ERR_TOO_LARGE', `${shortened(name)} has ${found.size} bytes.`, {
        fix: `Images have at most ${this.#maxBytes} bytes.`,
      })
    }
    return readFile(path, { signal })
  }

  /** What a client may read of a message. */
  hide(text: string): string {
    return this.roots.hide(text).replaceAll(/https?:\/\/[^\s'"]+/g, shownPlace)
  }

  async #checkOutput(place: string): Promise<void> {
    const path = await this.roots.output(place)
    const found = await stat(path).catch(() => undefined)
    if (found && !found.isFile()) {
      throw new Sam3ServiceError('ERR_PATH_REFUSED', `${shortened(place)} is no file that could be replaced.`, {
        fix: 'Name a file.',
      })
    }
  }
}

/** All images below a folder, in the order of their names; links are not followed, so that the walk ends. */
async function imagesIn(name: string, folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const images = entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && isImageName(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.split('/').some((part) => part.startsWith('.')))
  return images.sort().map((path) => `${name.replace(/\/+$/, '')}/${path}`)
}
