/** Waiting for something to change, without losing it when the waiting is given up. */
import { Sam3AbortError } from './errors.js'

/** A bell: whoever waits goes on when it rings. What is waited for lies elsewhere, so giving up loses nothing. */
export class Bell {
  #waiting: (() => void)[] = []

  /** Wakes all who wait. */
  ring(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  /**
   * Resolves at the next ring.
   * @throws Sam3AbortError when `signal` fires first
   */
  wait(signal?: AbortSignal): Promise<void> {
    return abortable(new Promise((resolve) => this.#waiting.push(resolve)), signal)
  }
}

/**
 * Passes `work` on, or stops waiting for it when `signal` fires; the work itself goes on.
 * @throws Sam3AbortError
 */
export async function abortable<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work
  work.catch(() => {}) // nobody may be left to look at it
  if (signal.aborted) throw new Sam3AbortError(signal.reason)
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(new Sam3AbortError(signal.reason))
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Runs one piece of work at a time, in the order of the calls. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` when all earlier work has settled; with a `signal`, gives up waiting for its turn. */
  async take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const turn = this.#last
    let done = () => {}
    const mine = new Promise<void>((resolve) => {
      done = resolve
    })
    this.#last = turn.then(() => mine)
    try {
      await abortable(turn, signal)
      return await work()
    } finally {
      done()
    }
  }
}
