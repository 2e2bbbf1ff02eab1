/** How much is done in a second, of late. */

/** Seconds after which what was done counts for a third. */
const MEMORY = 10
/** Longest and shortest advice. */
const [SOONEST, LATEST] = [1, 60]

export class RateMeter {
  #perSecond = 0
  #at = performance.now()

  /** Something was done. */
  count(): void {
    this.#fade()
    this.#perSecond += 1 / MEMORY
  }

  /** Whole seconds in which `amount` will be done at this rate: at least 1, at most 60. */
  secondsFor(amount: number): number {
    this.#fade()
    if (this.#perSecond === 0) return SOONEST
    return Math.min(LATEST, Math.max(SOONEST, Math.ceil(amount / this.#perSecond)))
  }

  #fade(): void {
    const now = performance.now()
    this.#perSecond *= Math.exp(-(now - this.#at) / 1000 / MEMORY)
    this.#at = now
  }
}
