/** A user's clicks, box and mask input, checked and turned into what the engine takes. */
import { Sam3InputError } from '../base/errors.js'
import type { ClickPrompt } from '../native/contract.js'
import { kindOf, shown } from '../base/shown.js'
import { checkBoolean, checkKeys } from '../base/checks.js'
import { type ImageSize, toPixelBox, toPixelPoint } from '../geometry/coordinates.js'
import { toLabel } from './labels.js'
import { isOneRow, toNumbers, toRows } from '../geometry/numbers.js'
import type { PointPrompt, PromptLabel } from './types.js'

const POINT_PROMPT_KEYS = ['points', 'labels', 'box', 'maskInput', 'multimask', 'normalized'] as const

/** Far beyond what any result has, and a number of every dtype that the network runs in. */
const LARGEST_LOGIT = 10_000

/** A click prompt ready for the engine. */
export interface PreparedPointPrompt {
  native: ClickPrompt
  multimask: boolean
}

/**
 * Checks a click prompt against the image it is for, and a mask against the side of the network's mask grid.
 * @throws Sam3InputError `ERR_EMPTY_PROMPT`, `ERR_INVALID_POINT`, `ERR_INVALID_BOX`, `ERR_INVALID_MASK`, `ERR_INVALID_ARGUMENT`
 */
export function preparePointPrompt(prompt: PointPrompt, size: ImageSize, maskSide: number): PreparedPointPrompt {
  checkKeys(prompt, POINT_PROMPT_KEYS, 'A click prompt')
  const normalized = checkBoolean(prompt.normalized, 'normalized')
  const native: ClickPrompt = { ...preparePoints(prompt, size, normalized) }
  if (prompt.box !== undefined) {
    native.box = Float64Array.from(toPixelBox(prompt.box, size, normalized))
  }
  if (prompt.maskInput !== undefined) native.maskInput = checkMaskInput(prompt.maskInput, maskSide)
  if (!native.points && !native.box && !native.maskInput) {
    throw new Sam3InputError('ERR_EMPTY_PROMPT', 'The click prompt has no points, no box and no mask.', {
      fix: 'Pass { points: [[x, y]], labels: [1] }, { box: [x0, y0, x1, y1] } or { maskInput }.',
    })
  }
  return { native, multimask: prompt.multimask === undefined ? true : checkBoolean(prompt.multimask, 'multimask') }
}

function preparePoints(
  prompt: PointPrompt,
  size: ImageSize,
  normalized: boolean,
): Pick<ClickPrompt, 'points' | 'labels'> {
  const points = toRows(prompt.points ?? [], 2)
  if (!points) throw invalidPoint(`points must be a list of points, not ${shown(prompt.points)}.`, POINTS_FORM)
  if (isOneRow(points, 2)) {
    throw invalidPoint(`points must be a list of points, not one point ${shown(points)}.`, POINTS_FORM)
  }
  const labels = prompt.labels === undefined ? undefined : toRows(prompt.labels, 1)?.flat()
  if (prompt.labels !== undefined && !labels) {
    throw invalidPoint(`labels must be a list of labels, not ${shown(prompt.labels)}.`, POINTS_FORM)
  }
  if (labels !== undefined && labels.length !== points.length) {
    throw invalidPoint(
      `There are ${points.length} points but ${labels.length} labels.`,
      'Pass one label for each point, 1 (part of the object) or 0 (not).',
    )
  }
  if (points.length === 0) return {}
  const name = (index: number) => (points.length > 1 ? `Point ${index}` : 'The point')
  return {
    points: Float64Array.from(
      points.flatMap((point, index) => [...toPixelPoint(point, size, normalized, name(index))]),
    ),
    // A list with a gap is no list of labels: only one that is left out means "all positive".
    labels: Int32Array.from(points, (_, index) =>
      toLabel(labels ? ((labels[index] ?? null) as PromptLabel) : undefined, name(index).toLowerCase()),
    ),
  }
}

const POINTS_FORM = 'Pass points: [[x, y], …] and labels: [1, …].'

function invalidPoint(message: string, fix: string): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_POINT', message, { fix })
}

function checkMaskInput(mask: NonNullable<PointPrompt['maskInput']>, side: number): Float32Array {
  const data: unknown = typeof mask === 'object' && mask !== null && 'data' in mask ? mask.data : mask
  const numbers = data instanceof Float32Array ? data : toNumbers(data)
  if (numbers?.length !== side * side) {
    const got = numbers ? `${numbers.length} values` : kindOf(data)
    throw new Sam3InputError('ERR_INVALID_MASK', `The mask input must be ${side} x ${side} logits, not ${got}.`, {
      fix: 'Pass the logits of a previous result of the same model and input size: prediction.best.mask.logits.',
    })
  }
  const logits = numbers instanceof Float32Array ? numbers : Float32Array.from(numbers)
  if (!logits.every((value) => Math.abs(value) <= LARGEST_LOGIT)) {
    throw new Sam3InputError(
      'ERR_INVALID_MASK',
      `The mask input has values that are no finite numbers, or beyond ±${LARGEST_LOGIT}.`,
      { fix: 'Pass the logits of a previous result as they are; the reference keeps them within ±32.' },
    )
  }
  return logits
}
