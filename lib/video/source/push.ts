/** Live frames: pushed in by a camera, a socket or a browser, taken out by a session. */
import { recogniseInAllCopies } from '../../base/same-class.js'
import { Sam3InputError, Sam3RuntimeError } from '../../base/errors.js'
import type { ImageInput, RgbImage } from '../../image/source.js'
import { checkKeys, checkSignal, checkWholeNumber } from '../../base/checks.js'
import { Bell, Turns } from '../../base/wake.js'
import { checkIndex, framePassed, sourceClosed, wrongSize } from './errors.js'
import { ownPixels } from './own-pixels.js'
import type { LiveSource, SourceFrame } from './types.js'
import { shown } from '../../base/shown.js'

/** Options of a {@link PushSource}. All have defaults. */
export interface PushOptions {
  /** Frames that may wait for the session. The delay of a live stream is at most this many steps. Default 2. */
  maxBuffered?: number
  /**
   * What happens to a frame for which there is no room: `'drop-oldest'` (default) lets go of the one that has waited
   * longest, so that the session always works on the newest; `'block'` makes `push` wait, so that none is lost.
   */
  overflow?: 'drop-oldest' | 'block'
  /** Pixels in a row, and rows. Default: those of the first frame, for which `startSession` then waits. */
  width?: number
  /** Rows; goes with `width`. */
  height?: number
}

/** Counters of a {@link PushSource}. */
export interface PushStats {
  /** Frames that were pushed. */
  pushed: number
  /** Frames of these that no session saw: there was no room for them, or they could not be decoded. */
  dropped: number
  /** Frames that wait now. */
  buffered: number
}

interface Waiting {
  index: number
  timestamp: number
  /** Undefined until it is decoded. */
  image: RgbImage | undefined
}

/**
 * A source of live frames. Frames are numbered as they are pushed; those that are dropped leave gaps.
 *
 * @example
 * ```ts
 * const live = new PushSource({ width: 1280, height: 720 })
 * const session = await model.startSession(live)
 * camera.on('frame', (jpeg) => live.push(jpeg).catch(console.error))
 * camera.on('end', () => live.end())
 * ```
 */
export class PushSource implements LiveSource {
  readonly frameCount = undefined
  readonly frameRate = undefined
  readonly randomAccess = false
  readonly #maxBuffered: number
  readonly #blocks: boolean
  readonly #buffer: Waiting[] = []
  readonly #bell = new Bell()
  readonly #entering = new Turns()
  readonly #reading = new Turns()
  #size: { width: number; height: number } | undefined
  #current: SourceFrame | undefined
  #pushed = 0
  #dropped = 0
  /** Pushes that wait for room: they came before the end. */
  #outside = 0
  #firstTime: number | undefined
  #state: 'open' | 'ended' | 'closed' = 'open'

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
  constructor(options: PushOptions = {}) {
    checkKeys(options, ['maxBuffered', 'overflow', 'width', 'height'], 'The options of a PushSource')
    const { overflow = 'drop-oldest' } = options
    if (overflow !== 'drop-oldest' && overflow !== 'block') {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `overflow cannot be ${shown(overflow)}.`, {
        fix: "Use 'drop-oldest' or 'block'.",
      })
    }
    const width = checkWholeNumber(options.width, 'width', 1)
    const height = checkWholeNumber(options.height, 'height', 1)
    if ((width === undefined) !== (height === undefined)) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'width and height go together.', { fix: 'Pass both or none.' })
    }
    this.#maxBuffered = checkWholeNumber(options.maxBuffered, 'maxBuffered', 1) ?? 2
    this.#blocks = overflow === 'block'
    if (width && height) this.#size = { width, height }
  }

  /** Pixels in a row; 0 until it is known. */
  get width(): number {
    return this.#size?.width ?? 0
  }

  /** Rows; 0 until it is known. */
  get height(): number {
    return this.#size?.height ?? 0
  }

  /** What became of the frames so far. */
  get stats(): PushStats {
    return { pushed: this.#pushed, dropped: this.#dropped, buffered: this.#buffer.length }
  }

  /**
   * Adds a frame.
   *
   * @param image Raw pixels are copied, so that their buffer may be filled again.
   * @param timestamp Seconds, increasing. Default: when it was pushed, counted from the first one.
   * @returns True when it waits for the session; false where it had to be dropped before it was decoded, or the source
   * was closed meanwhile. A frame that waits may still be dropped for a newer one.
   * @throws Sam3InputError `ERR_INVALID_IMAGE` and others of an image, `ERR_FRAME_SIZE`: it is left out, later ones are
   * not affected. Sam3RuntimeError `ERR_STREAM_CLOSED` after `end()` or `close()`
   */
  async push(image: ImageInput, timestamp?: number): Promise<boolean> {
    if (this.#state !== 'open') throw streamEnded(this.#state)
    const now = performance.now() / 1000
    this.#firstTime ??= now
    const frame: Waiting = { index: this.#pushed++, timestamp: timestamp ?? now - this.#firstTime, image: undefined }
    if (this.#blocks) await this.#waitForRoom()
    if (this.#isClosed) return false
    while (this.#buffer.length >= this.#maxBuffered) {
      this.#buffer.shift()
      this.#dropped++
    }
    this.#buffer.push(frame)
    try {
      const decoded = await ownPixels(image)
      this.#size ??= { width: decoded.width, height: decoded.height }
      if (decoded.width !== this.width || decoded.height !== this.height) throw wrongSize(frame.index, decoded, this)
      frame.image = decoded
      return this.#buffer.includes(frame)
    } catch (error) {
      const at = this.#buffer.indexOf(frame)
      if (at >= 0) {
        this.#buffer.splice(at, 1)
        this.#dropped++
      }
      throw error
    } finally {
      this.#bell.ring()
    }
  }

  /** No frame will follow. Those that wait are still given out. */
  end(): void {
    if (this.#state === 'open') this.#state = 'ended'
    this.#bell.ring()
  }

  /** @internal Resolves when the size is known. */
  async ready(signal?: AbortSignal): Promise<void> {
    while (!this.#size) {
      if (this.#isOver()) {
        throw new Sam3InputError('ERR_INVALID_VIDEO', 'The live source ended before its first frame.', {
          fix: 'Push a frame before end(), or give the size: new PushSource({ width, height }).',
        })
      }
      if (this.#isClosed) throw sourceClosed()
      await this.#bell.wait(signal)
    }
  }

  async frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    checkIndex(index)
    checkSignal(signal)
    return this.#reading.take(async () => {
      for (;;) {
        if (this.#isClosed) throw sourceClosed()
        if (this.#current && index <= this.#current.index) {
          if (index === this.#current.index) return this.#current
          throw framePassed(index)
        }
        const frame = this.#takeFrom(index)
        if (frame) return frame
        if (this.#isOver()) return undefined
        await this.#bell.wait(signal)
      }
    }, signal)
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#buffer.length = 0
    this.#current = undefined
    this.#bell.ring()
  }

  get #isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Whether nothing waits and nothing can come. */
  #isOver(): boolean {
    return this.#state === 'ended' && this.#buffer.length === 0 && this.#outside === 0
  }

  /** The oldest frame that waits, from `index` on. */
  #takeFrom(index: number): SourceFrame | undefined {
    while (this.#buffer.length > 0) {
      const [{ image, ...when }] = this.#buffer as [Waiting]
      if (!image) return undefined // still being decoded: those behind it wait for it
      this.#buffer.shift()
      this.#bell.ring() // there is room
      if (when.index < index) {
        this.#dropped++
        continue
      }
      this.#current = { ...when, data: image.data, width: image.width, height: image.height }
      return this.#current
    }
    return undefined
  }

  /** Lets pushes in one by one, in their order. */
  async #waitForRoom(): Promise<void> {
    this.#outside++
    try {
      await this.#entering.take(async () => {
        while (this.#buffer.length >= this.#maxBuffered && !this.#isClosed) await this.#bell.wait()
      })
    } finally {
      this.#outside--
    }
  }
}
recogniseInAllCopies(PushSource, 'PushSource')

function streamEnded(state: 'ended' | 'closed'): Sam3RuntimeError {
  return new Sam3RuntimeError('ERR_STREAM_CLOSED', `The live source was ${state}: no frame can be pushed.`, {
    fix: 'Make a new PushSource, and a new session for it.',
  })
}
