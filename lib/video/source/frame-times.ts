/** When the frames of a video are shown: known from the start, or learned while they are read. */

/** Seconds by which two readings of the same time may differ. */
const SAME = 1e-4

/** The times of frames in order, in seconds of the file's own time. */
export class FrameTimes {
  readonly #times: number[]

  constructor(times: number[] | undefined) {
    this.#times = times ?? []
  }

  get length(): number {
    return this.#times.length
  }

  at(index: number): number | undefined {
    return this.#times[index]
  }

  /** Which frame is shown at `time`; undefined where none is known. */
  find(time: number): number | undefined {
    let [low, high] = [0, this.#times.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#times[middle]! < time - SAME) low = middle + 1
      else high = middle
    }
    return low < this.#times.length && Math.abs(this.#times[low]! - time) <= SAME ? low : undefined
  }

  /** Adds the frame behind the last known one; false where its time is not behind that one's. */
  append(time: number): boolean {
    const last = this.#times.at(-1)
    if (!Number.isFinite(time) || (last !== undefined && time <= last + SAME)) return false
    this.#times.push(time)
    return true
  }

  /** Forgets frames that turned out not to be there: `from` to `to`, exclusive. */
  remove(from: number, to: number): void {
    this.#times.splice(from, to - from)
  }

  /** A time shortly before `index`, behind the frame before it. */
  before(index: number): number | undefined {
    const time = this.#times[index]
    if (time === undefined || index === 0) return time
    return time - (time - this.#times[index - 1]!) / 2
  }
}
