/** Who goes next: work of all callers waits here, and goes to the model some at a time, so that the engine joins it. */
import { type Sam3ImageModel, Sam3RuntimeError } from 'sam3-node'
import { RateMeter } from './rate-meter.js'

/** Which work goes first. */
export const PRIORITIES = ['high', 'normal', 'low'] as const
export type Priority = (typeof PRIORITIES)[number]

/** Limits of what waits and runs. */
export interface SchedulerOptions {
  maxBatchSize: number
  maxQueueDelayMs: number
  maxQueueSize: number
}

/** On whose behalf work is done, and for how long. */
export interface Ticket {
  /** Default `'normal'`. */
  priority?: Priority
  /** Ends the work, waiting or running. */
  signal: AbortSignal
  /** The one that has to do it: it has the features of the image. Default: any. */
  model?: Sam3ImageModel
}

interface Waiting {
  since: number
  priority: Priority
  start(): void
}

/** Batches that are with the engine at a time: the next one is there when the running one ends. */
const BATCHES_AHEAD = 2

/** Runs work, some at a time, the rest in order of priority and arrival. */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #waiting: Waiting[] = []
  readonly #rate = new RateMeter()
  #running = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  /** Work that waits, by priority. */
  waiting(priority: Priority): number {
    return this.#waiting.filter((one) => one.priority === priority).length
  }

  /** Work that waits or runs. */
  get load(): number {
    return this.#waiting.length + this.#running
  }

  /** Seconds until what waits now will have been done, at the rate of late. */
  get secondsToClear(): number {
    return this.#rate.secondsFor(this.load)
  }

  /** Whether further work would be refused. */
  get isFull(): boolean {
    return this.#waiting.length >= this.#options.maxQueueSize
  }

  /**
   * Runs `work` when its turn has come.
   * @param onStart Told of the seconds that it waited.
   * @throws Sam3RuntimeError `ERR_QUEUE_FULL`; the reason of the signal; what `work` throws
   */
  async run<T>(ticket: Ticket, work: () => Promise<T>, onStart: (seconds: number) => void): Promise<T> {
    await this.#turn(ticket, onStart)
    this.#running++
    try {
      return await work()
    } finally {
      this.#running--
      this.#rate.count()
      this.#pump()
    }
  }

  #turn({ signal, priority = 'normal' }: Ticket, onStart: (seconds: number) => void): Promise<void> {
    signal.throwIfAborted()
    if (this.isFull) {
      throw new Sam3RuntimeError('ERR_QUEUE_FULL', `The queue is full (${this.#waiting.length} requests wait).`, {
        fix: 'Send the request again after the seconds that Retry-After gives.',
      })
    }
    return new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal.reason)
      }
      const waiting: Waiting = {
        since: performance.now(),
        priority,
        start: () => {
          signal.removeEventListener('abort', leave)
          onStart((performance.now() - waiting.since) / 1000)
          resolve()
        },
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(waiting)
      this.#pump()
    })
  }

  /** Starts what may start now. */
  #pump(): void {
    const { maxBatchSize, maxQueueDelayMs } = this.#options
    clearTimeout(this.#timer)
    const oldest = this.#waiting[0]
    if (oldest && this.#waiting.length < maxBatchSize) {
      const left = maxQueueDelayMs - (performance.now() - oldest.since)
      if (left > 0) {
        this.#timer = setTimeout(() => this.#pump(), left)
        return
      }
    }
    let free = BATCHES_AHEAD * maxBatchSize - this.#running
    while (free-- > 0 && this.#waiting.length > 0) this.#next().start()
  }

  #next(): Waiting {
    const first = PRIORITIES.find((priority) => this.waiting(priority) > 0)
    const at = this.#waiting.findIndex(({ priority }) => priority === first)
    return this.#waiting.splice(at, 1)[0]!
  }
}
