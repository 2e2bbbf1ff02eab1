/** Results of a video as text in the formats of the MOT challenge, which tools that score trackers read. */
import { Sam3InputError } from '../../base/errors.js'
import { checkKeys } from '../../base/checks.js'
import { CategoryTable } from '../../result/categories.js'
import { recogniseInAllCopies } from '../../base/same-class.js'
import { FrameSet } from './frame-set.js'
import type { ExportedFrame } from './types.js'

/** How {@link MotText} writes. */
export interface MotOptions {
  /**
   * `'results'` (default): what a tracker hands in to be scored, `frame, id, left, top, width, height, confidence, -1, -1, -1`.
   * `'ground-truth'`: what trackers are scored against and annotation tools import,
   * `frame, id, left, top, width, height, flag, class, visibility`; the flag, whether the line counts, is 1, and so is the
   * visibility, which is not known.
   */
  format?: 'results' | 'ground-truth' | undefined
  /**
   * Texts of the classes of the ground truth, that of class 1 first; `'object'` is what no text finds. Default: in the order in
   * which they first appear.
   */
  classes?: readonly string[] | undefined
}

/** Digits behind the point: a hundredth of a pixel, a millionth of a probability. */
const round = (value: number, digits: number) => String(Number(value.toFixed(digits)))

/**
 * Writes results as lines of MOT17, as results of a tracker or as ground truth. Results have no class: evaluations of the MOT
 * challenge know one class, and refuse others.
 *
 * Frames, pixels, ids and classes are counted from 1, as the challenge does: `id` is the session's plus one. The confidence is
 * the object's `trackerScore`. An object without a box is hidden, and has no line. A frame is written once: a
 * propagation in both directions gives the one where it begins twice. Nothing is kept but a bit for each frame and the names of the
 * classes, so a video may be of any length. Each file needs a `MotText` of its own.
 *
 * @example
 * ```ts
 * const mot = new MotText()
 * for await (const result of session.propagate()) file.write(mot.lines(result))
 * ```
 */
export class MotText {
  readonly #isGroundTruth: boolean
  readonly #classes: CategoryTable
  readonly #written = new FrameSet()

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
  constructor(options: MotOptions = {}) {
    checkKeys(options, ['format', 'classes'], 'MotText')
    const { format = 'results', classes } = options
    if (format !== 'results' && format !== 'ground-truth') {
      throw new Sam3InputError(
        'ERR_INVALID_ARGUMENT',
        `format must be 'results' or 'ground-truth', not ${String(format)}.`,
        {
          fix: "Use 'results' for what is scored, 'ground-truth' for what it is scored against or corrected in a tool.",
        },
      )
    }
    this.#isGroundTruth = format === 'ground-truth'
    const isOther = Array.isArray(classes) && classes.some((one) => typeof one !== 'string')
    if (isOther) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'classes must be a list of texts.', {
        fix: 'The classes of the MOT challenge have the numbers 1, 2, 3, … in the order of the list.',
      })
    }
    this.#classes = new CategoryTable(classes, 'classes')
  }

  /** Text of each class of the ground truth, that of class 1 first; `'object'` where no text found it. */
  get classes(): readonly string[] {
    return this.#classes.list.map(({ name }) => name)
  }

  /**
   * One line for each object of a frame; an empty text where there is none, or where the frame was written before.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT` where an object of the ground truth is of none of the `classes` given
   */
  lines({ frameIndex, objects }: ExportedFrame): string {
    if (this.#written.has(frameIndex)) return ''
    const lines = objects
      .filter(({ box: [x0, y0, x1, y1] }) => x1 > x0 && y1 > y0)
      .map(({ id, prompt, trackerScore, box: [x0, y0, x1, y1] }) => {
        const rectangle = [x0 + 1, y0 + 1, x1 - x0, y1 - y0].map((value) => round(value, 2))
        const rest = this.#isGroundTruth ? [1, this.#classes.idOf(prompt), 1] : [round(trackerScore, 6), -1, -1, -1]
        return `${[frameIndex + 1, id + 1, ...rectangle, ...rest].join(',')}\n`
      })
    this.#written.add(frameIndex)
    return lines.join('')
  }
}
recogniseInAllCopies(MotText, 'MotText')
