/** Every instance of what words and example boxes describe: `POST /v1/segment`. */
import { shapeOf } from './shapes.js'

/** @typedef {import('./shapes.js').Box} Box */
/** @typedef {{ text?: string, warnings: string[], instances: { score: number, box: Box, polygons: import('./shapes.js').Polygon[] }[] }} Result */

/** Pixels by which outlines may leave the mask: what is drawn looks smooth, and differs by less than a line's width. */
export const TOLERANCE = '0.8'

export class FindMode {
  id = 'find'
  kind = /** @type {const} */ ('any')
  tools = [
    { id: 'like', label: 'Box: like this', sign: '+', draws: true },
    { id: 'unlike', label: 'Box: not this', sign: '−', draws: true },
  ]
  /** @type {string[]} */
  words = []
  threshold = 0.5
  /** Of a video: which frame the boxes are on. */
  frame = 0
  /** @type {{ box: Box, isPositive: boolean }[]} */
  boxes = []

  get points() {
    return []
  }
  get hasMarks() {
    return this.boxes.length > 0
  }
  get isEmpty() {
    return this.words.length === 0 && this.boxes.length === 0
  }
  /** @param {string} tool @param {Box} box */
  addBox(tool, box) {
    this.boxes.push({ box, isPositive: tool === 'like' })
  }
  undo() {
    this.boxes.pop()
  }
  clear() {
    this.boxes = []
  }

  /** @returns {import('./api.js').Request} */
  request() {
    const exemplars = this.boxes.map(({ box, isPositive }) => ({ box, label: isPositive ? 'positive' : 'negative' }))
    return {
      path: 'v1/segment',
      fields: [
        ...this.words.map((value) => ({ name: 'text', value })),
        ...(exemplars.length > 0 ? [{ name: 'boxes', value: JSON.stringify(exemplars) }] : []),
        { name: 'threshold', value: String(this.threshold) },
        { name: 'format', value: 'polygons' },
        { name: 'tolerance', value: TOLERANCE },
      ],
    }
  }

  /** @param {any} answer */
  read(answer) {
    /** @type {Result[]} */
    const results = answer.images[0].results
    const found = results.flatMap(({ text, instances }) =>
      instances.map((instance) => ({ instance, label: text ?? 'like it' })),
    )
    const notes = results.flatMap(({ text, instances, warnings }) => {
      if (instances.length > 0) return warnings
      const what = text === undefined ? 'Nothing like it' : `No “${text}”`
      return [`${what} with a score of ${this.threshold} or more.`, ...warnings]
    })
    return { shapes: found.map(({ instance, label }, index) => shapeOf(instance, label, index)), notes }
  }
}
