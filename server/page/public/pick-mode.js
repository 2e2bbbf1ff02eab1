/** One object that clicks, a box and the mask before point at: `POST /v1/predict`. */
import { TOLERANCE } from './find-mode.js'
import { shapeOf } from './shapes.js'

/** @typedef {import('./shapes.js').Box} Box */
/** @typedef {import('./shapes.js').Point} Point */
/** @typedef {{ size: number, data: string }} Logits */
/** @typedef {{ score: number, box: Box, polygons: import('./shapes.js').Polygon[], logits: Logits }} Found */

/** The file from which a copied request takes the mask that it refines. */
export const MASK_FILE = 'mask.json'

export class PickMode {
  id = 'pick'
  kind = /** @type {const} */ ('one')
  tools = [
    { id: 'add', label: 'Click: this', sign: '+', draws: false },
    { id: 'remove', label: 'Click: not this', sign: '−', draws: false },
    { id: 'box', label: 'Box', sign: '▢', draws: true },
  ]
  /** Whether a further click starts from the mask that is shown. */
  refines = true
  /** Of a video: which frame the marks are on. */
  frame = 0
  /** Which of the found masks is shown. */
  chosen = 0
  /** @type {({ point: Point, isPositive: boolean } | { box: Box })[]} */
  #marks = []
  /** @type {Found[]} */
  #found = []
  /** The mask that the next request refines. @type {Logits | undefined} */
  mask

  get points() {
    return this.#marks.flatMap((mark) => ('point' in mark ? [mark] : []))
  }
  get boxes() {
    const last = this.#marks.flatMap((mark) => ('box' in mark ? [mark.box] : [])).at(-1)
    return last ? [{ box: last, isPositive: true }] : []
  }
  get hasMarks() {
    return this.#marks.length > 0
  }
  get isEmpty() {
    return !this.hasMarks
  }
  /** @param {string} tool @param {Point} point */
  addPoint(tool, point) {
    this.#add({ point, isPositive: tool === 'add' })
  }
  /** @param {string} _tool @param {Box} box */
  addBox(_tool, box) {
    this.#add({ box })
  }
  /** @param {{ point: Point, isPositive: boolean } | { box: Box }} mark */
  #add(mark) {
    this.mask = this.refines ? this.#found[this.chosen]?.logits : undefined
    this.#marks.push(mark)
  }
  undo() {
    this.#marks.pop()
    this.#forget()
  }
  clear() {
    this.#marks = []
    this.#forget()
  }
  #forget() {
    this.mask = undefined
    this.#found = []
    this.chosen = 0
  }

  /** @returns {import('./api.js').Request} */
  request() {
    const { points, boxes, mask } = this
    const json = (/** @type {unknown} */ value) => JSON.stringify(value)
    // One click can mean a part, a thing or a group: three masks. Several say which.
    const isVague = points.length + boxes.length === 1 && !mask
    return {
      path: 'v1/predict',
      fields: [
        ...(points.length > 0
          ? [
              { name: 'points', value: json(points.map(({ point }) => point)) },
              { name: 'labels', value: json(points.map(({ isPositive }) => Number(isPositive))) },
            ]
          : []),
        ...(boxes[0] ? [{ name: 'box', value: json(boxes[0].box) }] : []),
        ...(mask ? [{ name: 'maskInput', value: json(mask), file: MASK_FILE }] : []),
        { name: 'multimask', value: String(isVague) },
        { name: 'logits', value: 'true' },
        { name: 'format', value: 'polygons' },
        { name: 'tolerance', value: TOLERANCE },
      ],
    }
  }

  /** @param {any} answer */
  read(answer) {
    const [result] = answer.results
    this.#found = result.masks
    this.chosen = 0
    const name = (/** @type {number} */ index) => (this.#found.length > 1 ? `Mask ${index + 1}` : 'Mask')
    return {
      shapes: this.#found.map((found, index) => shapeOf(found, name(index), index)),
      notes: result.objectScore < 0 ? ['The model doubts that there is an object.'] : [],
    }
  }
}
