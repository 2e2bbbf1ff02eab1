/** A user's prompts of a video session, checked and turned into what the engine takes. */
import { types } from 'node:util'
import { Sam3InputError } from '../../base/errors.js'
import type { ClickPrompt } from '../../native/contract.js'
import { checkBoolean, checkKeys } from '../../base/checks.js'
import type { ImageSize } from '../../geometry/coordinates.js'
import { toNumbers } from '../../geometry/numbers.js'
import { preparePointPrompt } from '../../prompt/point-prompt.js'
import {
  EXEMPLARS_ONLY_TEXT,
  MULTIPLEX_EXEMPLARS_ONLY_TEXT,
  preparePrompt,
  type PreparedPrompt,
} from '../../prompt/text-prompt.js'
import type { BoxPrompt, PromptLabel } from '../../prompt/types.js'
import type { BoxInput, NumberArray, PointInput } from '../../geometry/types.js'
import { Mask } from '../../result/mask.js'
import { kindOf, shown } from '../../base/shown.js'
import type { TextTokenizer } from '../../tokenizer/tokenizer.js'

/** "Find every … and follow it": a text, one exemplar box, or both. */
export interface VideoPrompt {
  /** The frame that is looked at first, and that the box is on. */
  frameIndex: number
  /** A short noun phrase. Holds for every frame. */
  text?: string
  /** At most one exemplar. Without a text, objects are found on this frame only, and then followed. */
  boxes?: readonly (BoxPrompt | BoxInput)[] | NumberArray
  /** The box is 0..1 of the video's width and height instead of pixels. Default false. */
  normalized?: boolean
}

/** Clicks or a box on one object, new or followed already. At least one of the two. */
export interface ObjectPoints {
  /** The frame that they are on. */
  frameIndex: number
  /** A whole number from 0, the caller's to choose for a new object. */
  objectId: number
  /** Clicks, inside of the frame. A typed array holds two numbers for each. */
  points?: readonly PointInput[] | NumberArray
  /** One label per point, 1 (part of the object) or 0 (not). Default: all 1. */
  labels?: readonly PromptLabel[] | NumberArray
  /** A box around the object. */
  box?: BoxInput
  /** Forget earlier clicks on this object and frame; false adds to them. A box needs true. Default true. */
  clearOldPoints?: boolean
  /** Also look at the memory of other frames, as the session's `usePrevMemFrame` does for every click. Default false. */
  usePrevMemFrame?: boolean
  /** Points and box are 0..1 of the video's width and height instead of pixels. Default false. */
  normalized?: boolean
}

/** The mask of one object, new or followed already. */
export interface ObjectMask {
  /** The frame that it is on. */
  frameIndex: number
  /** A whole number from 0, the caller's to choose for a new object. */
  objectId: number
  /**
   * A mask of the video's size, or its `width * height` values row by row, also as a list of rows, any but 0 set. Values
   * that are negative or no whole numbers, such as logits, are refused.
   */
  mask: Mask | NumberArray | readonly number[] | readonly (NumberArray | readonly number[])[]
}

/** Whose prompts are taken back. */
export interface ObjectOnFrame {
  /** The frame that they are on. */
  frameIndex: number
  /** An object that the session follows. */
  objectId: number
}

/** @throws Sam3InputError `ERR_INVALID_FRAME` unless `value` is an index of the video. */
export function checkFrameIndex(value: unknown, frameCount: number | undefined): number {
  const last = frameCount === undefined ? Number.MAX_SAFE_INTEGER : frameCount - 1
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= last) return value as number
  const range = frameCount === undefined ? 'a whole number from 0' : `from 0 to ${last}`
  throw new Sam3InputError('ERR_INVALID_FRAME', `There is no frame ${shown(value)}.`, {
    fix: `Frame indices of this video are ${range}.`,
  })
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless `value` can name an object. */
export function checkObjectId(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `objectId must be a whole number from 0, not ${shown(value)}.`, {
    fix: 'Choose one for a new object, or pass the id of a result.',
  })
}

/**
 * Checks a concept and tokenizes its text.
 * @param multiplex for a model of SAM 3.1
 * @throws Sam3InputError `ERR_EMPTY_PROMPT`, `ERR_INVALID_BOX`, `ERR_INVALID_ARGUMENT`
 */
export function prepareConcept(
  prompt: VideoPrompt,
  size: ImageSize,
  tokenizer: TextTokenizer,
  multiplex = false,
): PreparedPrompt {
  checkKeys(prompt, ['frameIndex', 'text', 'boxes', 'normalized'], 'A prompt')
  const { frameIndex: _, ...question } = prompt
  const { native, text, warnings } = preparePrompt(
    question,
    size,
    tokenizer,
    multiplex ? MULTIPLEX_EXEMPLARS_ONLY_TEXT : EXEMPLARS_ONLY_TEXT,
  )
  if ((native.labels?.length ?? 0) > 1) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A prompt of a video takes one box at most.', {
      fix: 'Add a prompt for each kind of object, each with its own box.',
    })
  }
  return { native, text: native.hasText ? text : undefined, warnings }
}

/**
 * Checks the clicks on an object.
 * @throws Sam3InputError `ERR_EMPTY_PROMPT`, `ERR_INVALID_POINT`, `ERR_INVALID_BOX`, `ERR_INVALID_ARGUMENT`
 */
export function preparePoints(input: ObjectPoints, size: ImageSize, maskSide: number): ClickPrompt {
  const keys = ['points', 'labels', 'box', 'clearOldPoints', 'usePrevMemFrame', 'normalized'] as const
  checkKeys(input, ['frameIndex', 'objectId', ...keys], 'The clicks on an object')
  const { objectId: _object, clearOldPoints, usePrevMemFrame, frameIndex: _frame, ...clicks } = input
  const native: ClickPrompt = {
    ...preparePointPrompt(clicks, size, maskSide).native,
    clearOldPoints: clearOldPoints === undefined || checkBoolean(clearOldPoints, 'clearOldPoints'),
  }
  if (usePrevMemFrame !== undefined) native.usePrevMemFrame = checkBoolean(usePrevMemFrame, 'usePrevMemFrame')
  return native
}

/**
 * Checks a mask against the size of the video.
 * @throws Sam3InputError `ERR_INVALID_MASK`, `ERR_INVALID_ARGUMENT`
 */
export function prepareMask(input: ObjectMask, size: ImageSize): Uint8Array {
  checkKeys(input, ['frameIndex', 'objectId', 'mask'], 'The mask of an object')
  return input.mask instanceof Mask ? bitmapOf(input.mask, size) : checkBitmap(input.mask, size)
}

function bitmapOf(mask: Mask, { width, height }: ImageSize): Uint8Array {
  if (mask.width === width && mask.height === height) return mask.toBitmap()
  const message = `The mask is ${mask.width} x ${mask.height}, the video is ${width} x ${height}.`
  throw new Sam3InputError('ERR_INVALID_MASK', message, { fix: 'Scale it to the size of the video.' })
}

function checkBitmap(mask: unknown, { width, height }: ImageSize): Uint8Array {
  const values = types.isUint8Array(mask) ? mask : (toNumbers(mask) ?? joinRows(mask, width))
  if (values?.length !== width * height) {
    const got = values ? `${values.length} values` : kindOf(mask)
    throw new Sam3InputError(
      'ERR_INVALID_MASK',
      `The mask does not have the size of the video, ${width} x ${height}: got ${got}.`,
      { fix: 'Pass a Mask of that size, or width * height numbers row by row, such as a Uint8Array.' },
    )
  }
  if (!types.isUint8Array(values) && !values.every((value) => Number.isInteger(value) && value >= 0)) {
    throw new Sam3InputError('ERR_INVALID_MASK', 'The mask has values that are negative or no whole numbers.', {
      fix: 'Pass 1 for the object and 0 for the rest; of logits, 1 where they are above 0.',
    })
  }
  return Uint8Array.from(values, (value) => (value === 0 ? 0 : 1))
}

/** The values of a list of rows, or undefined where it is none. */
function joinRows(mask: unknown, width: number): number[] | undefined {
  if (!Array.isArray(mask)) return undefined
  const rows = Array.from(mask, toNumbers)
  return rows.every((row) => row?.length === width) ? (rows as number[][]).flat() : undefined
}
