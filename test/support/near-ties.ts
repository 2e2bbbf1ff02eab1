/**
 * Near ties: places where a recorded run hangs on the sign of a number that is nearer to zero than rounding. The
 * reference, with another number of threads, decides otherwise there and from then on may give other results.
 */
import { resizeBilinear } from './compare.js'

/** Nearer to a limit than this, rounding decides on which side a number is. */
export const NEAR_TIE = 5e-6

/** The same for a logit of ours, which is about as far from the reference's as that is from zero in a near tie. */
const OUR_NEAR_TIE = 2 * NEAR_TIE

/** Whether recorded logits are the reference's own: those of the project's own goldens are rounded to save space. */
export const isExact = (logits: Float32Array): boolean => logits.some((logit) => !Number.isInteger(logit * 2048))

/** The pixel with the smallest logit of a mask that becomes memory, if that is a near tie: in words. */
export function tieOfMask(logits: Float32Array, size: number, limit = OUR_NEAR_TIE): string | undefined {
  const resized = resizeBilinear(logits, Math.sqrt(logits.length), size, size)
  let nearest = 0
  for (let pixel = 1; pixel < resized.length; pixel++) {
    if (Math.abs(resized[pixel]!) < Math.abs(resized[nearest]!)) nearest = pixel
  }
  const logit = resized[nearest]!
  if (!(Math.abs(logit) < limit)) return undefined
  return `pixel (${nearest % size}, ${Math.floor(nearest / size)}) of ${size} x ${size} has the logit ${logit.toExponential(1)}`
}

/** The first of `values` that is a near tie with one of `limits`: in words. */
export function tieOfScore(what: string, values: Iterable<number>, limits: readonly number[]): string | undefined {
  for (const value of values) {
    const limit = limits.find((one) => Math.abs(value - one) < NEAR_TIE)
    if (limit !== undefined) return `${what} ${value} is at the limit ${limit}`
  }
  return undefined
}

/**
 * The comparison of a run with its recording. Everything up to a near tie must agree; behind it ours may be another run,
 * and the comparison ends with the first result that differs.
 */
export class RunComparison {
  readonly #run: string
  #tie: string | undefined
  #ended = false

  constructor(run: string) {
    this.#run = run
  }

  /** Whether the run has become another one. */
  get ended(): boolean {
    return this.#ended
  }

  /** What is compared from now on depends on a near tie. */
  meet(tie: string | undefined): void {
    if (!tie || this.#tie) return
    this.#tie = tie
    console.log(`${this.#run}: near tie, ${tie}`)
  }

  /** Does a step of the run and compares what it gives. */
  async step(name: string, body: () => Promise<void> | void): Promise<void> {
    if (this.#ended) return
    try {
      await body()
    } catch (error) {
      if (!this.#tie) throw error
      this.#ended = true
      console.log(`${this.#run}: compared up to there, since ${name} differs`)
    }
  }
}
