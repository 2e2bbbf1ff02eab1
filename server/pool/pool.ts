/** The models that answer, and what waits for them. */
import { type Sam3ImageModel, Sam3RuntimeError, Sam3ServiceError } from 'sam3-node'
import type { Metrics } from '../observe/metrics.js'
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
    return scheduler.run(
      ticket,
      () => this.#metrics.time('engine', () => work(model)),
      (seconds) => this.#metrics.queueDuration.observe(seconds),
    )
  }

  /** Brings what is read, not counted, up to date: before metrics are told. */
  observe(): void {
    for (const priority of PRIORITIES)
      this.#metrics.queueSize.set({ priority }, this.#member?.scheduler.waiting(priority) ?? 0)
  }

  /** Whether the models are alive: asks them, and waits for no work. */
  get isAlive(): boolean {
    if (!this.#member) return true // still loading
    try {
      this.#member.model.stats()
      return true
    } catch {
      return false
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
