/** The models that answer, and what waits for them. */
import { type ModelStats, type Sam3ImageModel, Sam3RuntimeError, Sam3ServiceError } from 'sam3-node'
import { registerBatchSize } from '../observe/batch-size.js'
import type { Metrics } from '../observe/metrics.js'
import { beginSpan } from '../observe/trace.js'
import { PRIORITIES, Scheduler, type SchedulerOptions, type Ticket } from './scheduler.js'

/** Whether the service takes work, and why not. */
export type PoolState = 'loading' | 'ready' | 'draining'

/** One model with its queue. */
export interface Member {
  readonly model: Sam3ImageModel
  readonly scheduler: Scheduler
}

/** The models and their queues. It takes requests once a model was added, until it drains. */
export class Pool {
  readonly #options: SchedulerOptions
  readonly #metrics: Metrics
  #member: Member | undefined
  #isDraining = false

  constructor(options: SchedulerOptions, metrics: Metrics) {
    this.#options = options
    this.#metrics = metrics
    registerBatchSize(metrics.registry, () => this.#stats() ?? { calls: 0, batches: 0 })
  }

  get state(): PoolState {
    if (this.#isDraining) return 'draining'
    return this.#member ? 'ready' : 'loading'
  }

  /** A model that answers from now on. The pool disposes of it. */
  add(model: Sam3ImageModel): void {
    this.#member = { model, scheduler: new Scheduler(this.#options) }
    const { device, dtype, inputSize } = model.info
    this.#metrics.info.set({ device, dtype, input_size: inputSize }, 1)
  }

  /**
   * Whether a request may begin, before any of it is read.
   * @throws Sam3ServiceError `ERR_NOT_READY` while loading and while draining, Sam3RuntimeError `ERR_QUEUE_FULL`
   */
  checkRoom(): void {
    const { state } = this
    if (state !== 'ready') {
      const why = state === 'loading' ? 'is loading its model' : 'is shutting down'
      throw new Sam3ServiceError('ERR_NOT_READY', `The service ${why}.`, {
        fix: state === 'loading' ? 'Ask /readyz, and try again when it says 200.' : 'Send the request to another one.',
        retryAfter: state === 'loading' ? LOADING_RETRY : undefined,
      })
    }
    if (this.#chosen().scheduler.isFull) throw queueFull()
  }

  /** Seconds after which there will be room, for `Retry-After`. */
  get retryAfter(): number {
    return this.#member?.scheduler.secondsToClear ?? LOADING_RETRY
  }

  /**
   * Runs `work` on a model when its turn has come.
   * @throws Sam3RuntimeError `ERR_QUEUE_FULL`; the reason of the signal; what `work` throws
   */
  async run<T>(ticket: Ticket, work: (model: Sam3ImageModel) => Promise<T>): Promise<T> {
    const { scheduler, model } = this.#chosen()
    const waiting = beginSpan('sam3.queue')
    const onStart = (seconds: number) => {
      this.#metrics.queueDuration.observe(seconds)
      waiting.end()
    }
    try {
      return await scheduler.run(ticket, () => this.#metrics.time('engine', () => work(model)), onStart)
    } finally {
      waiting.end() // also where its turn never came
    }
  }

  /** Brings what is read, not counted, up to date: before metrics are told. */
  observe(): void {
    for (const priority of PRIORITIES)
      this.#metrics.queueSize.set({ priority }, this.#member?.scheduler.waiting(priority) ?? 0)
    this.#metrics.sessions.set(this.#stats()?.sessions ?? 0)
  }

  /** Whether the models are alive: asks them, and waits for no work. */
  get isAlive(): boolean {
    return this.#member === undefined || this.#stats() !== undefined // without a model it is still loading
  }

  /** What the engine counted; undefined where there is no model, or it has gone. */
  #stats(): ModelStats | undefined {
    try {
      return this.#member?.model.stats()
    } catch {
      return undefined
    }
  }

  /** Takes no more requests; work for those that were taken goes on. */
  drain(): void {
    this.#isDraining = true
  }

  /** Ends all work and frees the models. */
  async dispose(): Promise<void> {
    await this.#member?.model.dispose()
  }

  #chosen(): Member {
    return this.#member!
  }
}

const LOADING_RETRY = 5

function queueFull(): Sam3RuntimeError {
  return new Sam3RuntimeError('ERR_QUEUE_FULL', 'The queue is full.', {
    fix: 'Send the request again after the seconds that Retry-After gives.',
  })
}
