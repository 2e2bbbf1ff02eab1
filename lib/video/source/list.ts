/** Frames that are pictures: a folder of them, a list, or the pages of a file. */
import { readdir } from 'node:fs/promises'
import { join, parse } from 'node:path'
import { Sam3Error, Sam3InputError } from '../../base/errors.js'
import type { RgbImage } from '../../image/source.js'
import { checkSignal } from '../../base/checks.js'
import { abortable } from '../../base/wake.js'
import { badFrame, checkIndex, sourceClosed, wrongSize } from './errors.js'
import type { Pictures } from './pictures.js'
import type { FrameSource, SourceFrame } from './types.js'
import { shortened } from '../../base/shown.js'

/** Files that are frames. BMP and HEIC are not among what sharp reads, but a frame that is silently left out would be worse. */
const IMAGE_EXTENSIONS: ReadonlySet<string> = new Set(
  ['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.avif', '.bmp', '.heic', '.heif'], //
)

/** Whether a file is an image by its name. */
export function isImageName(name: string): boolean {
  return IMAGE_EXTENSIONS.has(parse(name).ext.toLowerCase())
}

/** Text and numbers of a name in turns: `frame_10` is [`frame_`, 10, ``]. */
function parts(name: string): (string | bigint)[] {
  return name.split(/(\d+)/).map((part, index) => (index % 2 === 1 ? BigInt(part) : part))
}

/**
 * Names in the order of their frames. Names that are numbers are in the order of these, as in the reference; in others,
 * numbers inside of them count as numbers too (`frame_2` before `frame_10`), where the reference compares letter by letter.
 */
export function inFrameOrder(names: readonly string[]): string[] {
  const keys = new Map(names.map((name) => [name, parts(parse(name).name)]))
  const compare = (a: string, b: string): number => {
    const [left, right] = [keys.get(a)!, keys.get(b)!]
    for (let at = 0; at < Math.min(left.length, right.length); at++) {
      if (left[at]! < right[at]!) return -1
      if (left[at]! > right[at]!) return 1
    }
    return left.length - right.length || (a < b ? -1 : 1)
  }
  return [...names].sort(compare)
}

/**
 * Paths of the images in a folder, in the order of their frames.
 * @throws Sam3InputError `ERR_INVALID_VIDEO` where there are none
 */
export async function frameFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter(
    (entry) => !entry.isDirectory() && !entry.name.startsWith('.') && isImageName(entry.name),
  )
  if (names.length === 0) {
    throw new Sam3InputError('ERR_INVALID_VIDEO', `There is no image in the folder ${shortened(folder)}.`, {
      fix: `Frames are files with one of the endings ${[...IMAGE_EXTENSIONS].join(', ')}, directly in the folder.`,
    })
  }
  return inFrameOrder(names.map(({ name }) => name)).map((name) => join(folder, name))
}

/** Pictures of which each is a frame, in order; each is decoded when it is asked for, the one behind it meanwhile. */
export class ListSource implements FrameSource {
  readonly width: number
  readonly height: number
  readonly frameCount: number
  readonly frameRate: number | undefined
  readonly randomAccess = true
  readonly #pictures: Pictures
  readonly #decoding = new Map<number, Promise<RgbImage>>()
  #last = 0
  #closed = false

  private constructor(pictures: Pictures, size: RgbImage) {
    this.#pictures = pictures
    this.frameCount = pictures.count
    this.frameRate = pictures.frameRate
    this.width = size.width
    this.height = size.height
  }

  /**
   * Opens a list; the first picture that can be decoded says how large the video is.
   * @throws Sam3InputError `ERR_INVALID_VIDEO` where it is empty or none can be decoded, Sam3AbortError
   */
  static async open(pictures: Pictures, signal?: AbortSignal): Promise<ListSource> {
    let problem: unknown
    for (let index = 0; index < pictures.count; index++) {
      checkSignal(signal)
      try {
        const first = await abortable(pictures.decode(index), signal)
        const source = new ListSource(pictures, first)
        source.#decoding.set(index, Promise.resolve(first))
        return source
      } catch (error) {
        checkSignal(signal)
        problem ??= error
      }
    }
    const reason = problem instanceof Error ? ` The first one: ${problem.message}` : ''
    throw new Sam3InputError(
      'ERR_INVALID_VIDEO',
      pictures.count === 0 ? 'A video needs at least one frame.' : `No image of the video can be decoded.${reason}`,
      { cause: problem, fix: 'Pass images in order, such as paths of JPEG or PNG files.' },
    )
  }

  async frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    checkIndex(index)
    checkSignal(signal)
    if (this.#closed) throw sourceClosed()
    if (index >= this.frameCount) return undefined
    const decoding = this.#decode(index)
    const ahead = index < this.#last ? index - 1 : index + 1
    this.#last = index
    for (const other of this.#decoding.keys()) if (other !== index && other !== ahead) this.#decoding.delete(other)
    if (ahead >= 0 && ahead < this.frameCount) this.#decode(ahead)
    const image = await abortable(decoding, signal).catch((error: unknown) => {
      throw error instanceof Sam3Error && error.code === 'ABORT_ERR' ? error : badFrame(index, error)
    })
    if (this.#closed) throw sourceClosed()
    if (image.width !== this.width || image.height !== this.height) throw wrongSize(index, image, this)
    const timestamp = this.#pictures.timeOf(index)
    return { index, timestamp, data: image.data, width: image.width, height: image.height }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#decoding.clear()
  }

  #decode(index: number): Promise<RgbImage> {
    let decoding = this.#decoding.get(index)
    if (!decoding) {
      decoding = this.#pictures.decode(index)
      decoding.catch(() => {}) // told when this frame is asked for
      this.#decoding.set(index, decoding)
    }
    return decoding
  }
}
