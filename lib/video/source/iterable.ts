/** Frames of an iterable: each is taken when it is asked for, and is there once. */
import { Sam3InputError } from '../../base/errors.js'
import type { ImageInput, RgbImage } from '../../image/source.js'
import { checkSignal } from '../../base/checks.js'
import { abortable, Bell, Turns } from '../../base/wake.js'
import { badFrame, checkIndex, framePassed, sourceClosed, wrongSize } from './errors.js'
import { ownPixels } from './own-pixels.js'
import type { FrameSource, SourceFrame } from './types.js'

type ImageIterator = Iterator<ImageInput> | AsyncIterator<ImageInput>

/** A frame that came, or why it cannot be used. */
interface Entry {
  index: number
  image: RgbImage | Sam3InputError
}

/** A frame on its way. */
interface Coming {
  settled?: Entry | 'end' | { error: unknown }
}

async function take(iterator: ImageIterator, index: number): Promise<Entry | undefined> {
  const { done, value } = await iterator.next()
  if (done) return undefined
  return { index, image: await ownPixels(value).catch((error: unknown) => badFrame(index, error)) }
}

/** Lets a generator clean up. */
async function end(iterator: ImageIterator): Promise<void> {
  await Promise.resolve(iterator.return?.()).catch(() => {})
}

/** Reads an iterable in order, never ahead of its reader: a camera or a generator sets the pace, or follows ours. */
export class IterableSource implements FrameSource {
  readonly width: number
  readonly height: number
  readonly frameRate: number
  readonly randomAccess = false
  readonly #iterator: ImageIterator
  readonly #turns = new Turns()
  readonly #bell = new Bell()
  /** Frames that were taken and not asked for yet, and before them the one that was asked for last. */
  readonly #taken: Entry[]
  #next: number
  /** A frame on its way; it stays where its reader gives up, and where it failed. */
  #coming: Coming | undefined
  #count: number | undefined
  #closed = false

  private constructor(iterator: ImageIterator, frameRate: number, taken: Entry[], { width, height }: RgbImage) {
    this.#iterator = iterator
    this.#taken = taken
    this.#next = taken.length
    this.frameRate = frameRate
    this.width = width
    this.height = height
  }

  /**
   * Takes frames up to the first one that can be decoded, which says how large the video is.
   * @throws Sam3InputError `ERR_INVALID_VIDEO` where there is none, what the iterable throws, Sam3AbortError
   */
  static async open(
    images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
    frameRate: number,
    signal?: AbortSignal,
  ): Promise<IterableSource> {
    const iterator = Symbol.asyncIterator in images ? images[Symbol.asyncIterator]() : images[Symbol.iterator]()
    const taken: Entry[] = []
    try {
      for (;;) {
        const entry = await abortable(take(iterator, taken.length), signal)
        if (!entry) break
        taken.push(entry)
        if (!(entry.image instanceof Error)) return new IterableSource(iterator, frameRate, taken, entry.image)
      }
    } catch (error) {
      void end(iterator) // it may wait for a frame that never comes
      throw error
    }
    const cause = taken[0]?.image
    throw new Sam3InputError(
      'ERR_INVALID_VIDEO',
      cause instanceof Error
        ? `No image of the video can be used. ${cause.message}`
        : 'There is no frame in the video.',
      { cause, fix: 'Yield images in order, such as paths of JPEG files or their bytes.' },
    )
  }

  get frameCount(): number | undefined {
    return this.#count
  }

  async frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    checkIndex(index)
    checkSignal(signal)
    return this.#turns.take(async () => {
      const entry = await this.#read(index, signal)
      if (!entry) return undefined
      const { image } = entry
      if (image instanceof Error) throw image
      if (image.width !== this.width || image.height !== this.height) throw wrongSize(index, image, this)
      return { index, timestamp: index / this.frameRate, data: image.data, width: image.width, height: image.height }
    }, signal)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#taken.length = 0
    this.#bell.ring()
    const ended = end(this.#iterator)
    // A generator ends only after the frame that it is working on, which may never come.
    if (!this.#coming || this.#coming.settled) await ended
  }

  async #read(index: number, signal: AbortSignal | undefined): Promise<Entry | undefined> {
    for (;;) {
      if (this.#closed) throw sourceClosed()
      while (this.#taken.length > 0 && this.#taken[0]!.index < index) this.#taken.shift()
      const [entry] = this.#taken
      if (entry?.index === index) return entry
      if (index < this.#next) throw framePassed(index)
      if (this.#count !== undefined) return undefined
      await this.#take(signal)
    }
  }

  /** Waits for one more frame. */
  async #take(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#coming) {
      const coming: Coming = {}
      this.#coming = coming
      take(this.#iterator, this.#next).then(
        (entry) => {
          coming.settled = entry ?? 'end'
          this.#bell.ring()
        },
        (error: unknown) => {
          coming.settled = { error }
          this.#bell.ring()
        },
      )
    }
    while (!this.#coming.settled && !this.#closed) await this.#bell.wait(signal)
    const { settled } = this.#coming
    if (!settled) return
    if (settled !== 'end' && 'error' in settled) throw settled.error
    this.#coming = undefined
    if (settled === 'end') {
      this.#count = this.#next
    } else {
      this.#next++
      this.#taken.push(settled)
    }
  }
}
