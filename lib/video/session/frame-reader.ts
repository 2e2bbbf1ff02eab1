/** A session's way to the frames of its source: one read at a time, each frame once, bad frames told apart. */
import { Sam3Error, Sam3InputError } from '../../base/errors.js'
import { checkSignal } from '../../base/checks.js'
import { wrongSize } from '../source/errors.js'
import { DEFAULT_RATE, type FrameSource, type SourceFrame } from '../source/types.js'

/** Frames kept after they were read: the one that is worked on and the one that was read ahead. */
const KEPT_FRAMES = 2

interface Read {
  asked: number
  found: Promise<SourceFrame | undefined>
  frame?: SourceFrame
}

/** Whether an error is about one frame only, so that later ones can still be read. */
export function isBadFrame(error: unknown): boolean {
  return error instanceof Sam3Error && (error.code === 'ERR_INVALID_FRAME' || error.code === 'ERR_FRAME_SIZE')
}

/** Reads frames in the order in which they are asked for, and remembers when each is shown. */
export class FrameReader {
  readonly #source: FrameSource
  readonly #timestamps = new Map<number, number>()
  #reads: Read[] = []
  #last: Promise<unknown> = Promise.resolve()

  constructor(source: FrameSource) {
    this.#source = source
  }

  /**
   * The frame at `index`, the next one there is where that was dropped, or undefined past the end.
   * @throws Sam3Error of the source, `ERR_FRAME_SIZE`; Sam3AbortError
   */
  async read(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    for (;;) {
      const known = this.#reads.find(({ asked, frame }) => index >= asked && index <= (frame?.index ?? asked))
      const read = known ?? this.#start(index, signal)
      try {
        return await read.found
      } catch (error) {
        // Who began this read has given up; we have not.
        if (read === known && (error as Sam3Error).code === 'ABORT_ERR' && !signal?.aborted) continue
        throw error
      }
    }
  }

  /** Seconds of a frame. */
  timestamp(index: number): number {
    return this.#timestamps.get(index) ?? index / (this.#source.frameRate ?? DEFAULT_RATE)
  }

  /** Frames before `index` will not be asked about again. */
  forget(index: number): void {
    for (const frame of this.#timestamps.keys()) if (frame < index) this.#timestamps.delete(frame)
  }

  #start(index: number, signal: AbortSignal | undefined): Read {
    // Sources read in order: a frame that is asked for in between waits.
    const found = this.#last.then(async () => {
      checkSignal(signal)
      const frame = await this.#source.frame(index, signal)
      if (frame) this.#check(frame)
      return frame
    })
    const read: Read = { asked: index, found }
    this.#last = found.then(
      (frame) => {
        if (!frame) return this.#drop(read) // a stream may still grow
        read.frame = frame
        this.#timestamps.set(frame.index, frame.timestamp)
      },
      () => this.#drop(read),
    )
    this.#reads = [...this.#reads, read].slice(-KEPT_FRAMES)
    return read
  }

  #drop(read: Read): void {
    this.#reads = this.#reads.filter((other) => other !== read)
  }

  #check(frame: SourceFrame): void {
    const { index, data, width, height } = frame
    if (width !== this.#source.width || height !== this.#source.height) throw wrongSize(index, frame, this.#source)
    if (!(data instanceof Uint8Array) || data.length !== width * height * 3) {
      throw new Sam3InputError('ERR_INVALID_FRAME', `Frame ${index} does not hold ${width} x ${height} RGB bytes.`, {
        fix: 'A source gives width * height * 3 bytes as a Uint8Array.',
      })
    }
  }
}
