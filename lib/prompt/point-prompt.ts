/** A user's clicks, box and mask input, checked and turned into what the engine takes. */
import { Sam3InputError } from '../errors.js'
import type { NativePointSet } from '../native/addon.js'
import { checkBoolean, checkKeys } from './checks.js'
import { type ImageSize, toLabel, toUnitBox, toUnitPoint } from './geometry.js'
import type { PointPrompt } from './types.js'

const POINT_PROMPT_KEYS = ['points', 'labels', 'box', 'maskInput', 'multimask', 'normalized'] as const

/** Sides of the square network input and of its mask grid, in pixels. */
export interface NetworkSize {
  inputSize: number
  maskSize: number
}

/** A click prompt ready for the engine. */
export interface PreparedPointPrompt {
  native: NativePointSet
  multimask: boolean
}

/**
 * Checks a click prompt against the image it is for. Points and box come out in pixels of the square network input;
 * the half-pixel shift of the reference is inside of the network.
 * @throws Sam3InputError `ERR_EMPTY_PROMPT`, `ERR_INVALID_POINT`, `ERR_INVALID_BOX`, `ERR_INVALID_MASK`, `ERR_INVALID_ARGUMENT`
 */
export function preparePointPrompt(prompt: PointPrompt, size: ImageSize, network: NetworkSize): PreparedPointPrompt {
  checkKeys(prompt, POINT_PROMPT_KEYS, 'A click prompt')
  const normalized = checkBoolean(prompt.normalized, 'normalized')
  const native: NativePointSet = { ...preparePoints(prompt, size, normalized, network.inputSize) }
  if (prompt.box !== undefined) {
    native.box = Float32Array.from(toUnitBox(prompt.box, size, normalized), (value) => value * network.inputSize)
  }
  if (prompt.maskInput !== undefined) native.maskInput = checkMaskInput(prompt.maskInput, network.maskSize)
  if (!native.points && !native.box && !native.maskInput) {
    throw new Sam3InputError('ERR_EMPTY_PROMPT', 'The click prompt has no points, no box and no mask.', {
      fix: 'Pass { points: [[x, y]], labels: [1] }, { box: [x0, y0, x1, y1] } or { maskInput }.',
    })
  }
  return { native, multimask: prompt.multimask === undefined ? true : checkBoolean(prompt.multimask, 'multimask') }
}

function preparePoints(
  { points = [], labels }: PointPrompt,
  size: ImageSize,
  normalized: boolean,
  inputSize: number,
): Pick<NativePointSet, 'points' | 'labels'> {
  if (!Array.isArray(points) || (labels !== undefined && !Array.isArray(labels))) {
    throw new Sam3InputError('ERR_INVALID_POINT', 'points and labels must be lists.', {
      fix: 'Pass points: [[x, y], …] and labels: [1, …].',
    })
  }
  if (labels !== undefined && labels.length !== points.length) {
    throw new Sam3InputError('ERR_INVALID_POINT', `There are ${points.length} points but ${labels.length} labels.`, {
      fix: 'Pass one label for each point, 1 (part of the object) or 0 (not).',
    })
  }
  if (points.length === 0) return {}
  const name = (index: number) => (points.length > 1 ? `Point ${index}` : 'The point')
  return {
    points: Float32Array.from(
      points.flatMap((point: unknown, index: number) => [...toUnitPoint(point, size, normalized, name(index))]),
      (value: number) => value * inputSize,
    ),
    labels: Int32Array.from(points, (_, index) => toLabel(labels?.[index], name(index).toLowerCase())),
  }
}

function checkMaskInput(mask: NonNullable<PointPrompt['maskInput']>, side: number): Float32Array {
  const data = mask instanceof Float32Array ? mask : mask.data
  if (!(data instanceof Float32Array) || data.length !== side * side) {
    const got = data instanceof Float32Array ? `${data.length} values` : typeof data
    throw new Sam3InputError(
      'ERR_INVALID_MASK',
      `The mask input must be ${side} x ${side} logits as a Float32Array, not ${got}.`,
      {
        fix: 'Pass the logits of a previous result of the same model and input size: prediction.best.mask.logits.',
      },
    )
  }
  if (!data.every(Number.isFinite)) {
    throw new Sam3InputError('ERR_INVALID_MASK', 'The mask input has values that are not finite numbers.', {
      fix: 'Pass the logits of a previous result as they are.',
    })
  }
  return data
}
