/** The work of a propagation: frames in, results out, one step for each time it is asked. */
import { Sam3AbortError, type Sam3Error, Sam3RuntimeError } from '../../base/errors.js'
import type { NativeFrameResult, PropagationPlan } from '../../native/contract.js'
import { isBadFrame } from './frame-reader.js'
import type { FrameResult } from './results.js'
import type { FrameCall, SessionState } from './session-state.js'
import type { SourceFrame } from '../source/types.js'

/** Checked options of a propagation. */
export interface RunSettings {
  /** One pass or two, in this order; true: backward. */
  passes: readonly boolean[]
  startFrame: number | undefined
  /** Most frames of a pass. */
  maxFrames: number | undefined
  /** The same as the reference counts it: how far from the start frame. */
  maxDistance?: number
  signal: AbortSignal | undefined
}

/** A frame that is ready to be stepped: null where the engine holds its pixels. */
interface ReadyFrame {
  index: number
  image: SourceFrame | null
}

/** One propagation. The network works only while a result is asked for; the next frame is decoded meanwhile. */
export class PropagationRun {
  readonly #state: SessionState
  readonly #settings: RunSettings
  readonly #stop = new AbortController()
  readonly #frames: AsyncGenerator<FrameResult, void, void>
  #ending: { error: Sam3Error | undefined } | undefined
  #told = false

  constructor(state: SessionState, settings: RunSettings) {
    this.#state = state
    this.#settings = settings
    this.#frames = this.#all()
  }

  /** The next result, in the order of the calls. */
  async next(): Promise<IteratorResult<FrameResult, undefined>> {
    let answer: IteratorResult<FrameResult, void> | undefined
    let failure: unknown
    try {
      answer = await this.#frames.next()
    } catch (error) {
      failure = error
    }
    if (this.#ending) {
      const { error } = this.#ending
      if (!error || this.#told) return { done: true, value: undefined }
      this.#told = true
      throw error
    }
    const { signal } = this.#settings
    if (!answer) throw signal?.aborted ? new Sam3AbortError(signal.reason) : failure
    return answer.done ? { done: true, value: undefined } : answer
  }

  /**
   * Ends it now: the step under way stops after its current network call. The next result that is asked for is `error`,
   * or the end. Resolves when the session is free for another propagation.
   */
  async end(error?: Sam3Error): Promise<void> {
    this.#ending ??= { error }
    this.#stop.abort()
    await this.#frames.return().catch(() => {}) // what was under way has been told to whoever waits for it
  }

  async *#all(): AsyncGenerator<FrameResult, void, void> {
    const { signal, passes } = this.#settings
    const state = this.#state
    state.checkOpen()
    if (state.run) {
      throw new Sam3RuntimeError('ERR_SESSION_BUSY', 'A propagation of this session is under way.', {
        fix: 'End it first (leave its loop, or call return()), or start another session.',
      })
    }
    if (passes.includes(true) && state.settings.history === 'bounded') {
      throw new Sam3RuntimeError('ERR_HISTORY_REQUIRED', 'A session with bounded history only goes forward.', {
        fix: "Start the session with { history: 'full' }.",
      })
    }
    const abort = () => this.#stop.abort(signal?.reason)
    if (signal?.aborted) throw new Sam3AbortError(signal.reason)
    signal?.addEventListener('abort', abort, { once: true })
    state.run = this
    try {
      for (const reverse of passes) yield* this.#pass(reverse)
    } finally {
      state.run = undefined
      signal?.removeEventListener('abort', abort)
      this.#stop.abort() // a frame that is still being read ahead
    }
  }

  async *#pass(reverse: boolean): AsyncGenerator<FrameResult, void, void> {
    const { startFrame: start, maxDistance: maxFrames } = this.#settings
    const state = this.#state
    const plan = await state.call((native) => native.begin({ reverse, start, maxFrames }))
    let open = true
    try {
      for await (const frame of this.#framesOf(plan)) {
        for (const result of await this.#step(frame)) yield this.#deliver(state.toResult(result))
      }
      const rest = await state.call((native) => native.finish())
      open = false
      for (const result of rest) yield this.#deliver(state.toResult(result))
    } finally {
      if (open) await state.native.abandon().catch(() => {}) // closed or disposed: there is nothing to end any more
    }
  }

  /** A frame that the engine held when the pass began may have been let go since: then it is read after all. */
  #step({ index, image }: ReadyFrame): Promise<NativeFrameResult[]> {
    const step: FrameCall<NativeFrameResult[]> = (native, at, pixels, token) => native.step(at, pixels, token)
    if (!image) return this.#state.onFrame(index, step, this.#signal)
    return this.#state.call((native, token) => step(native, index, image, token), this.#signal)
  }

  /** The frames of a pass in order, each while the network is busy with the one before. */
  async *#framesOf(plan: PropagationPlan): AsyncGenerator<ReadyFrame, void, void> {
    const { reverse, first } = plan
    const held = new Set(plan.held)
    const { maxFrames = Number.POSITIVE_INFINITY } = this.#settings
    const end = plan.last ?? Number.POSITIVE_INFINITY
    const last = reverse ? Math.max(end, first - maxFrames + 1) : Math.min(end, first + maxFrames - 1)
    const isPlanned = (index: number) => (reverse ? index >= last : index <= last)
    const after = (index: number) => (reverse ? index - 1 : index + 1)
    const load = async (index: number): Promise<ReadyFrame | 'bad' | undefined> => {
      if (!plan.encodes || held.has(index)) return { index, image: null }
      try {
        const image = await this.#state.whileOpen(this.#state.reader.read(index, this.#signal))
        return image && isPlanned(image.index) ? { index: image.index, image } : undefined
      } catch (error) {
        if (this.#state.settings.onBadFrame === 'skip' && isBadFrame(error)) return 'bad'
        throw error
      }
    }

    let index = first
    let loading = isPlanned(index) ? load(index) : undefined
    while (loading) {
      const frame = await loading
      if (!frame) return
      index = after(frame === 'bad' ? index : frame.index)
      loading = isPlanned(index) ? load(index) : undefined
      loading?.catch(() => {}) // looked at when it is that frame's turn
      if (frame !== 'bad') yield frame
    }
  }

  get #signal(): AbortSignal {
    return this.#stop.signal
  }

  #deliver(result: FrameResult): FrameResult {
    if (this.#state.settings.history === 'bounded') this.#state.reader.forget(result.frameIndex)
    return result
  }
}
