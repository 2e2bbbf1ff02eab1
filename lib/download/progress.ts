/** Adds up how far the files of a download have come, and how fast. */
import type { PromisedFile, PullProgress } from './types.js'

/** Milliseconds over which a rate is taken. */
const WINDOW = 4_000
/** At most one event per file in this time, except when its state changes. */
const INTERVAL = 100

/** Bytes per second over the last seconds. */
class Rate {
  #marks: { time: number; bytes: number }[] = []

  /** @param bytes all bytes so far */
  update(bytes: number, time: number): number {
    this.#marks.push({ time, bytes })
    while (this.#marks.length > 2 && this.#marks[0]!.time < time - WINDOW) this.#marks.shift()
    const [first] = this.#marks
    const seconds = (time - first!.time) / 1000
    return seconds > 0 ? Math.max(0, (bytes - first!.bytes) / seconds) : 0
  }

  /** Forgets the past: bytes that were found rather than received are no rate. */
  reset(): void {
    this.#marks = []
  }
}

/** Reports on one file. */
export interface FileReporter {
  report(state: PullProgress['state'], bytes: number): void
}

/** One download of several files. */
export class ProgressBoard {
  readonly #bytes = new Map<string, number>()
  readonly #total: number
  readonly #rate = new Rate()

  constructor(
    files: readonly Pick<PromisedFile, 'path' | 'size'>[],
    readonly onProgress: ((progress: PullProgress) => void) | undefined,
    /** Told what `onProgress` throws. */
    readonly onError: (error: unknown) => void,
  ) {
    this.#total = files.reduce((sum, { size }) => sum + size, 0)
    for (const { path } of files) this.#bytes.set(path, 0)
  }

  file({ path, size }: Pick<PromisedFile, 'path' | 'size'>): FileReporter {
    const rate = new Rate()
    let last: { state?: PullProgress['state']; time: number } = { time: -Infinity }
    return {
      report: (state, bytes) => {
        const time = performance.now()
        if (state !== last.state) {
          rate.reset()
          if (bytes > (this.#bytes.get(path) ?? 0) + 1_000_000) this.#rate.reset()
        } else if (time - last.time < INTERVAL && bytes < size) return
        last = { state, time }
        // Hashing goes over bytes that are there already.
        if (state !== 'verifying') this.#bytes.set(path, bytes)
        const sum = [...this.#bytes.values()].reduce((one, other) => one + other, 0)
        const moving = state === 'downloading' || state === 'waiting'
        const progress: PullProgress = {
          file: path,
          state,
          bytes,
          total: size,
          rate: moving ? rate.update(bytes, time) : 0,
          overall: { bytes: sum, total: this.#total, rate: this.#rate.update(sum, time) },
        }
        try {
          this.onProgress?.(progress)
        } catch (error) {
          this.onError(error)
        }
      },
    }
  }
}
