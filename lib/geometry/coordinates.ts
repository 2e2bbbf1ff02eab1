/** Checks boxes and points, and turns them into the coordinates of the network. */
import { Sam3InputError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import { toNumbers } from './numbers.js'
import type { Box, Point } from './types.js'

/** Width and height of the image that coordinates refer to. */
export interface ImageSize {
  width: number
  height: number
}

/**
 * How far a box may reach over the edge of the image, in images. The reference sets no limit, and gives answers that mean
 * nothing, or NaN, for boxes that come out of a wrong calculation.
 */
const REACH = 10

/** The extent of valid coordinates: the image's pixels, or 1 x 1 for normalised ones. */
function extent(size: ImageSize, normalized: boolean): [number, number] {
  return normalized ? [1, 1] : [size.width, size.height]
}

function extentText(size: ImageSize, normalized: boolean): string {
  return normalized ? 'the range 0..1 (normalized: true)' : `the image (${size.width} x ${size.height} pixels)`
}

/**
 * Checks a box and gives it in pixels. A box may reach over the edge of the image, as the reference
 * allows, but must touch it, and end within ten times its size.
 * @throws Sam3InputError `ERR_INVALID_BOX`
 */
export function toPixelBox(box: unknown, size: ImageSize, normalized: boolean, name = 'The box'): Box {
  const numbers = toNumbers(box)
  if (numbers?.length !== 4) {
    throw invalidBox(`${name} must be four numbers [x0, y0, x1, y1], not ${shown(box)}.`, wayToBox(box))
  }
  const [x0, y0, x1, y1] = numbers as unknown as Box
  const text = `[${numbers.join(', ')}]`
  if (!numbers.every(Number.isFinite)) {
    throw invalidBox(
      `${name} ${text} has a coordinate that is not a finite number.`,
      'Check the calculation that it comes from.',
    )
  }
  if (x1 <= x0 || y1 <= y0) {
    throw invalidBox(
      `${name} ${text} is ${x1 < x0 || y1 < y0 ? 'inverted' : 'empty'}.`,
      'Boxes are [x0, y0, x1, y1] with x0 < x1 and y0 < y1, not [x, y, width, height].',
    )
  }
  const [width, height] = extent(size, normalized)
  if (x1 <= 0 || y1 <= 0 || x0 >= width || y0 >= height) {
    throw invalidBox(`${name} ${text} lies outside of ${extentText(size, normalized)}.`, IN_PIXELS)
  }
  const unit = [x0 / width, y0 / height, x1 / width, y1 / height]
  if (unit.some((value) => value < -REACH || value > 1 + REACH)) {
    throw invalidBox(
      `${name} ${text} reaches over ${extentText(size, normalized)} by more than ${REACH} times its size.`,
      `Cut it off at the edge of the image. ${IN_PIXELS}`,
    )
  }
  return normalized ? [x0 * size.width, y0 * size.height, x1 * size.width, y1 * size.height] : [x0, y0, x1, y1]
}

const IN_PIXELS =
  'Coordinates are pixels of the image as it is seen, EXIF orientation applied, or 0..1 with normalized: true.'

function invalidBox(message: string, fix: string): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_BOX', message, { fix })
}

/** What to do with a box in another form. */
function wayToBox(box: unknown): string {
  if (typeof box === 'object' && box !== null && 'width' in box && 'height' in box) {
    return 'Pass [x, y, x + width, y + height] in pixels.'
  }
  if (Array.isArray(box) && box.length === 4) return 'Convert each with Number(…).'
  return 'Pass left, top, right and bottom in pixels.'
}

/**
 * Checks a point and gives it in pixels.
 * @throws Sam3InputError `ERR_INVALID_POINT`
 */
export function toPixelPoint(point: unknown, size: ImageSize, normalized: boolean, name = 'The point'): Point {
  const numbers = toNumbers(point)
  if (numbers?.length !== 2 || !numbers.every(Number.isFinite)) {
    throw new Sam3InputError(
      'ERR_INVALID_POINT',
      `${name} must be two finite numbers [x, y], not ${numbers ? `[${numbers.slice(0, 8).join(', ')}]` : shown(point)}.`,
      { fix: 'Pass column and row in pixels.' },
    )
  }
  const [x, y] = numbers as unknown as Point
  const [width, height] = extent(size, normalized)
  if (x < 0 || y < 0 || x > width || y > height) {
    const where = extentText(size, normalized)
    throw new Sam3InputError('ERR_INVALID_POINT', `${name} [${x}, ${y}] lies outside of ${where}.`, { fix: IN_PIXELS })
  }
  return normalized ? [x * size.width, y * size.height] : [x, y]
}
