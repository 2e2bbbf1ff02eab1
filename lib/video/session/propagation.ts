/** Following a session's objects through the video, as an async iterator. */
import { recogniseInAllCopies } from '../../base/same-class.js'
import { Sam3InputError } from '../../base/errors.js'
import { checkKeys, checkSignal, checkWholeNumber } from '../../base/checks.js'
import type { PropagationRun, RunSettings } from './propagation-run.js'
import { checkFrameIndex } from './prompts.js'
import type { FrameResult } from './results.js'
import type { VideoSession } from './session.js'

/** Which way to go: `'both'` is forward first, then backward from the same start. */
export type PropagationDirection = 'forward' | 'backward' | 'both'

/** Options of `propagate`. All have defaults. */
export interface PropagateOptions {
  /** Default `'forward'`. The other two need a session with `history: 'full'`. */
  direction?: PropagationDirection
  /** Default: the first frame with a prompt; in a bounded history that has begun, the frame behind the last one. */
  startFrame?: number
  /** Most frames in each direction. Default: to the end of the video. */
  maxFrames?: number
  /** Ends it: the step under way stops after its current network call, and `next()` rejects with a `Sam3AbortError`. */
  signal?: AbortSignal
}

const PASSES: Readonly<Record<PropagationDirection, readonly boolean[]>> = {
  forward: [false],
  backward: [true],
  both: [false, true],
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT`, `ERR_INVALID_FRAME`; Sam3AbortError */
export function checkPropagateOptions(options: PropagateOptions, frameCount: number | undefined): RunSettings {
  checkKeys(options, ['direction', 'startFrame', 'maxFrames', 'signal'], 'The options of propagate')
  const { direction = 'forward', startFrame, signal } = options
  if (!Object.hasOwn(PASSES, direction)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no direction ${JSON.stringify(direction)}.`, {
      fix: "Use 'forward', 'backward' or 'both'.",
    })
  }
  checkSignal(signal)
  return {
    passes: PASSES[direction],
    startFrame: startFrame === undefined ? undefined : checkFrameIndex(startFrame, frameCount),
    maxFrames: checkWholeNumber(options.maxFrames, 'maxFrames', 1),
    signal,
  }
}

/** Ends runs whose iterator nobody holds any more. */
const abandoned = new FinalizationRegistry<PropagationRun>((run) => void run.end())

/**
 * The results of a propagation, frame by frame: an async iterator. Nothing happens before the first result is asked for,
 * and the network works only while one is; meanwhile the next frame is decoded. Leaving the loop ends the propagation.
 */
export class Propagation implements AsyncIterableIterator<FrameResult> {
  readonly #session: VideoSession // keeps it from being collected, and so closed
  readonly #start: () => PropagationRun
  #run: PropagationRun | undefined
  #done = false

  /** @internal Made by `session.propagate`. `start` checks the options and may throw. */
  constructor(session: VideoSession, start: () => PropagationRun) {
    this.#session = session
    this.#start = start
  }

  /**
   * The next frame's objects.
   * @throws Sam3RuntimeError `ERR_SESSION_BUSY`, `ERR_SESSION_CLOSED`, `ERR_HISTORY_REQUIRED`, `ERR_MEMORY_LIMIT`,
   * `ERR_OUT_OF_MEMORY`, `ERR_DISPOSED`; Sam3InputError `ERR_NO_PROMPT`, `ERR_INVALID_FRAME`, `ERR_FRAME_SIZE` and
   * others of the source; Sam3AbortError. It has then ended; the session stays usable unless it was closed.
   */
  async next(): Promise<IteratorResult<FrameResult, undefined>> {
    if (this.#done) return { done: true, value: undefined }
    try {
      if (!this.#run) {
        this.#run = this.#start()
        abandoned.register(this, this.#run, this)
      }
      const result = await this.#run.next()
      if (result.done) this.#finish()
      return result
    } catch (error) {
      this.#finish()
      throw error
    }
  }

  /** Ends it. Results that were held back are dropped; the session is free for another propagation. */
  async return(): Promise<IteratorResult<FrameResult, undefined>> {
    this.#finish()
    await this.#run?.end()
    return { done: true, value: undefined }
  }

  /** Ends it and rejects with `error`. */
  async throw(error?: unknown): Promise<IteratorResult<FrameResult, undefined>> {
    await this.return()
    throw error
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this
  }

  /** {@link Propagation.return}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** The session whose objects are followed. */
  get session(): VideoSession {
    return this.#session
  }

  #finish(): void {
    this.#done = true
    abandoned.unregister(this)
  }
}
recogniseInAllCopies(Propagation, 'Propagation')
