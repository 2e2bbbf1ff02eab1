/** How many images are in the model's hands at once, over all jobs of a process: its batches are made of them. */
import { Sam3AbortError } from 'sam3-node'

export class Slots {
  /** Also how many images one job keeps ready. */
  readonly count: number
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.count = count
    this.#free = count
  }

  /** Runs `work` when a slot is free, in the order of the calls: jobs that ask in turns get them in turns. */
  async use<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (signal.aborted) throw new Sam3AbortError(signal.reason)
    if (this.#free > 0) this.#free--
    else await this.#turn(signal)
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1)
        reject(new Sam3AbortError(signal.reason))
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(go)
    })
  }
}
