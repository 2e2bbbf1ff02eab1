/** One video and the objects that are followed through it. */
import { recogniseInAllCopies } from '../../base/same-class.js'
import { Sam3InputError } from '../../base/errors.js'
import type { ImageInput } from '../../image/source.js'
import type { NativeFrameResult, SessionStats } from '../../native/contract.js'
import { checkKeys, checkSignal, checkWholeNumber } from '../../base/checks.js'
import type { CallOptions } from '../../prompt/types.js'
import { checkPropagateOptions, type PropagateOptions } from './propagate-options.js'
import { PropagationRun, type RunSettings } from './propagation-run.js'
import {
  checkFrameIndex,
  checkObjectId,
  type ObjectMask,
  type ObjectOnFrame,
  type ObjectPoints,
  prepareConcept,
  prepareMask,
  preparePoints,
  type VideoPrompt,
} from './prompts.js'
import type { FrameResult, PromptResult } from './results.js'
import { type FrameCall, isLive, type SessionState } from './session-state.js'
import { shown } from '../../base/shown.js'

/** Closes sessions that nobody holds any more. */
const collected = new FinalizationRegistry<SessionState>((state) => void state.close().catch(() => {}))

/**
 * A video session, made by {@link Sam3VideoModel.startSession}. Prompts may be added at any time, also between two steps
 * of a propagation, where they hold from the next step on. Coordinates are pixels of the video.
 *
 * Frames that are read once (streams, iterables, live frames) are passed over by a prompt that lies ahead of them, and a
 * prompt on a live frame that was dropped holds for the next one: the result says which.
 *
 * @example
 * ```ts
 * await using session = await model.startSession('clip.mp4')
 * await session.addPrompt({ frameIndex: 0, text: 'player in white' })
 * await session.addPoints({ frameIndex: 0, objectId: 100, points: [[320, 240]] })
 * for await (const { frameIndex, objects } of session.propagate()) {
 *   for (const { id, box, mask } of objects) console.log(frameIndex, id, box, mask.area)
 * }
 * ```
 */
export class VideoSession {
  /** Width of the video in pixels. */
  readonly width: number
  /** Height of the video in pixels. */
  readonly height: number
  /** Frames per second, or undefined where frames have no fixed rate. */
  readonly frameRate: number | undefined
  readonly #state: SessionState

  /** @internal */
  constructor(state: SessionState) {
    this.#state = state
    this.width = state.source.width
    this.height = state.source.height
    this.frameRate = state.source.frameRate
    collected.register(this, state, this)
  }

  /** Number of frames, or undefined where it is not known. */
  get frameCount(): number | undefined {
    return this.#state.source.frameCount
  }

  /**
   * Finds every instance of a concept and follows it. A session may have several prompts: a frame is encoded once for
   * all of them, and each has its own objects.
   *
   * @returns What was found on that frame, by all prompts of the session.
   * @throws Sam3InputError (`ERR_EMPTY_PROMPT`, `ERR_INVALID_BOX`, `ERR_INVALID_FRAME`, `ERR_FRAME_SIZE`,
   * `ERR_INVALID_ARGUMENT`, those of the source), Sam3RuntimeError (`ERR_HISTORY_REQUIRED`: the frame has passed;
   * `ERR_MEMORY_LIMIT`, `ERR_OUT_OF_MEMORY`, `ERR_SESSION_CLOSED`, `ERR_DISPOSED`, `ERR_QUEUE_FULL`), Sam3AbortError. The
   * session stays as it was.
   */
  async addPrompt(prompt: VideoPrompt, options: CallOptions = {}): Promise<PromptResult> {
    const frame = this.#check(prompt, options)
    const state = this.#state
    const {
      native: spec,
      text,
      warnings,
    } = prepareConcept(prompt, this, state.runtime.tokenizer, state.runtime.native.info.slots > 0)
    const add: FrameCall<{ index: number; result: NativeFrameResult }> = (native, index, image, token) =>
      native.addConcept(index, image, spec, token)
    const added = await state.onFrame(frame, add, options.signal)
    state.texts.set(added.index, text)
    return { ...state.toResult(added.result), promptIndex: added.index, warnings }
  }

  /**
   * Points at one object with clicks or a box: a new one, or one that is followed already and is to be corrected.
   * @returns The objects of that frame.
   * @throws As {@link VideoSession.addPrompt}, and `ERR_INVALID_POINT`.
   */
  async addPoints(points: ObjectPoints, options: CallOptions = {}): Promise<FrameResult> {
    const frame = this.#check(points, options)
    const input = preparePoints(points, this, this.#state.runtime.native.info.maskSide)
    const object = checkObjectId(points.objectId)
    return this.#prompt(frame, options, (native, at, image, token) => native.addPoints(at, image, object, input, token))
  }

  /**
   * Gives the mask of one object, new or followed already.
   * @returns The objects of that frame.
   * @throws As {@link VideoSession.addPrompt}, and `ERR_INVALID_MASK`.
   */
  async addMask(mask: ObjectMask, options: CallOptions = {}): Promise<FrameResult> {
    const frame = this.#check(mask, options)
    const bitmap = prepareMask(mask, this)
    const object = checkObjectId(mask.objectId)
    return this.#prompt(frame, options, (native, at, image, token) => native.addMask(at, image, object, bitmap, token))
  }

  /**
   * Takes the clicks, box or mask of one object on one frame back; those of other objects stay.
   * @returns The objects of that frame.
   * @throws Sam3InputError (`ERR_UNKNOWN_OBJECT`, `ERR_INVALID_FRAME`), and as {@link VideoSession.addPrompt}
   */
  async clearPrompts(where: ObjectOnFrame, options: CallOptions = {}): Promise<FrameResult> {
    const frame = this.#check(where, options)
    checkKeys(where, ['frameIndex', 'objectId'], 'What clearPrompts takes')
    const object = checkObjectId(where.objectId)
    return this.#prompt(frame, options, (native, at, image, token) => native.clearPrompts(at, image, object, token))
  }

  /**
   * No longer follows an object. Its id is not given to another one.
   * @throws Sam3InputError `ERR_UNKNOWN_OBJECT`, Sam3RuntimeError `ERR_SESSION_CLOSED`
   */
  async removeObject(objectId: number): Promise<void> {
    const object = checkObjectId(objectId)
    await this.#state.call((native) => native.removeObject(object))
  }

  /**
   * No longer looks for a concept, and no longer follows what it found.
   * @param promptIndex From the result of `addPrompt`.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, Sam3RuntimeError `ERR_SESSION_CLOSED`
   */
  async removePrompt(promptIndex: number): Promise<void> {
    if (!this.#state.texts.has(promptIndex)) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The session has no prompt ${shown(promptIndex)}.`, {
        fix: 'Pass the promptIndex of a result of addPrompt.',
      })
    }
    await this.#state.call((native) => native.removeConcept(promptIndex))
    this.#state.texts.delete(promptIndex)
  }

  /**
   * Follows all objects through the video, frame by frame, from the first prompted frame on.
   *
   * Results of text prompts come `hotstartDelay` frames late, the last ones together; `next()` then takes several steps.
   * @returns An async iterator. All failures, those of bad options as well, come from its `next()`.
   */
  propagate(options: PropagateOptions = {}): Propagation {
    return new Propagation(this, () => this.#run(checkPropagateOptions(options, this.frameCount)))
  }

  /** @internal As the reference counts: how far from the start frame, instead of how many frames. */
  propagateDistance(options: PropagateOptions, maxDistance: number | undefined): Propagation {
    return new Propagation(this, () => {
      const settings = checkPropagateOptions(options, this.frameCount)
      const distance = checkWholeNumber(maxDistance, 'max_frame_num_to_track', 0)
      return this.#run(distance === undefined ? settings : { ...settings, maxDistance: distance })
    })
  }

  /**
   * Forgets all prompts and objects; the video stays open. A propagation under way ends without an error.
   * @throws Sam3RuntimeError `ERR_SESSION_CLOSED`
   */
  async reset(): Promise<void> {
    this.#state.checkOpen()
    const ended = this.#state.run?.end()
    // Asked for at once, so that whatever is called behind this finds a session without prompts.
    await this.#state.call((native) => native.reset())
    this.#state.texts.clear()
    await ended
  }

  /**
   * Memory, frames and times of the session.
   * @throws Sam3RuntimeError `ERR_SESSION_CLOSED`
   */
  async stats(): Promise<SessionStats> {
    return this.#state.call((native) => native.stats())
  }

  /**
   * Adds a frame to a live video.
   * @returns Whether it was kept: false where it had to be dropped. Waits for room where the source blocks.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT` where the video is not live, and as {@link LiveSource.push}
   */
  async push(image: ImageInput): Promise<boolean> {
    this.#state.checkOpen()
    return this.#state.whileOpen(this.#live().push(image))
  }

  /**
   * No frame will follow in a live video: a propagation finishes those that wait, then ends. Safe to call twice.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT` where the video is not live
   */
  end(): void {
    this.#live().end()
  }

  /**
   * Gives everything back: device and host memory, decoders, files. Calls under way end with `ERR_SESSION_CLOSED`, a step
   * after its current network call; resolves when all is freed. Safe to call twice.
   */
  async close(): Promise<void> {
    collected.unregister(this)
    await this.#state.close()
  }

  /** {@link VideoSession.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #run(settings: RunSettings): PropagationRun {
    return new PropagationRun(this.#state, settings)
  }

  #live() {
    const { source } = this.#state
    if (isLive(source)) return source
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'Frames cannot be pushed into this video.', {
      fix: 'Start the session with a PushSource.',
    })
  }

  /** What every prompt has; returns its frame. */
  #check(prompt: { frameIndex: number }, options: CallOptions): number {
    checkKeys(options, ['signal'], 'The options of a call')
    this.#state.checkOpen()
    checkSignal(options.signal)
    return checkFrameIndex((prompt as { frameIndex?: unknown } | undefined)?.frameIndex, this.frameCount)
  }

  async #prompt(frame: number, { signal }: CallOptions, call: FrameCall<NativeFrameResult>): Promise<FrameResult> {
    return this.#state.toResult(await this.#state.onFrame(frame, call, signal))
  }
}
recogniseInAllCopies(VideoSession, 'VideoSession')

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
