/** Results of a video as text in the format of the MOT challenge, which tools that score trackers read. */
import { recogniseInAllCopies } from '../../same-class.js'
import { type ExportedFrame, UNNAMED } from './types.js'

/** Digits behind the point: a hundredth of a pixel, a millionth of a probability. */
const round = (value: number, digits: number) => String(Number(value.toFixed(digits)))

/**
 * Writes results as lines of MOT17:
 * `frame, id, left, top, width, height, confidence, class, visibility`.
 *
 * Frames, pixels and classes are counted from 1, as the challenge does. Ids are the session's. The confidence is the
 * object's `trackerScore`; classes are numbered in the order in which their texts first appear. The visibility is not known
 * and always 1. Nothing is kept but the names of the classes, so a video may be of any length.
 *
 * @example
 * ```ts
 * const mot = new MotText()
 * for await (const result of session.propagate()) file.write(mot.lines(result))
 * ```
 */
export class MotText {
  readonly #classes: string[] = []

  /** Text of each class, that of class 1 first; `'object'` where no text found it. */
  get classes(): readonly string[] {
    return this.#classes
  }

  /** One line for each object of a frame; an empty text where there is none. */
  lines({ frameIndex, objects }: ExportedFrame): string {
    return objects
      .map(({ id, prompt, trackerScore, box: [x0, y0, x1, y1] }) => {
        const rectangle = [x0 + 1, y0 + 1, x1 - x0, y1 - y0].map((value) => round(value, 2))
        return `${[frameIndex + 1, id, ...rectangle, round(trackerScore, 6), this.#class(prompt ?? UNNAMED), 1].join(',')}\n`
      })
      .join('')
  }

  #class(name: string): number {
    if (!this.#classes.includes(name)) this.#classes.push(name)
    return this.#classes.indexOf(name) + 1
  }
}
recogniseInAllCopies(MotText, 'MotText')
