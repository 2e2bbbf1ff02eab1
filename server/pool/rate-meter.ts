/** How fast work is done, for `Retry-After`. */

/** Share of the newest interval in the mean. */
const NEWEST = 0.1
/** Longest and shortest advice, seconds. */
const [SOONEST, LATEST] = [1, 60]

/** The mean time between two pieces of work that are done, of the times in which there was work. */
export class RateMeter {
  #mean: number | undefined
  #last = 0
  #running = 0

  /** Work begins, at a time in milliseconds. */
  begin(now = performance.now()): void {
    if (this.#running++ === 0) this.#last = now
  }

  /** Work is done. Of pieces that are done together, all but the first took no time. */
  end(now = performance.now()): void {
    this.#running--
    const interval = now - this.#last
    this.#last = now
    this.#mean = this.#mean === undefined ? interval : this.#mean + NEWEST * (interval - this.#mean)
  }

  /** Whole seconds in which `amount` will be done at this rate: at least 1, at most 60. */
  secondsFor(amount: number): number {
    const seconds = Math.ceil((amount * (this.#mean ?? 0)) / 1000)
    return Math.min(LATEST, Math.max(SOONEST, seconds))
  }
}
