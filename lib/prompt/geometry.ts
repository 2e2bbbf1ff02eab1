/** Checks boxes, points and labels, and turns them into the network's coordinates. */
import { Sam3InputError } from '../errors.js'
import type { Box, Point, PromptLabel } from './types.js'

/** Width and height of the image that coordinates refer to. */
export interface ImageSize {
  width: number
  height: number
}

function isNumbers(value: unknown, length: number): value is readonly number[] {
  return Array.isArray(value) && value.length === length && value.every((item) => typeof item === 'number')
}

/** The extent of valid coordinates: the image's pixels, or 1 x 1 for normalised ones. */
function extent(size: ImageSize, normalized: boolean): [number, number] {
  return normalized ? [1, 1] : [size.width, size.height]
}

function extentText(size: ImageSize, normalized: boolean): string {
  return normalized ? 'the range 0..1 (normalized: true)' : `the image (${size.width} x ${size.height} pixels)`
}

/**
 * Checks a box and gives it as fractions of the image. A box may reach over the edge of the image, as the reference
 * allows, but must touch it.
 * @throws Sam3InputError `ERR_INVALID_BOX`
 */
export function toUnitBox(box: unknown, size: ImageSize, normalized: boolean, name = 'The box'): Box {
  if (!isNumbers(box, 4)) {
    throw new Sam3InputError('ERR_INVALID_BOX', `${name} must be four numbers [x0, y0, x1, y1].`, {
      fix: 'Pass left, top, right and bottom in pixels.',
    })
  }
  const [x0, y0, x1, y1] = box as unknown as Box
  const text = `[${box.join(', ')}]`
  if (!box.every(Number.isFinite)) {
    throw new Sam3InputError('ERR_INVALID_BOX', `${name} ${text} has a coordinate that is not a finite number.`, {
      fix: 'Check the calculation that it comes from.',
    })
  }
  if (x1 <= x0 || y1 <= y0) {
    throw new Sam3InputError('ERR_INVALID_BOX', `${name} ${text} is ${x1 < x0 || y1 < y0 ? 'inverted' : 'empty'}.`, {
      fix: 'Boxes are [x0, y0, x1, y1] with x0 < x1 and y0 < y1, not [x, y, width, height].',
    })
  }
  const [width, height] = extent(size, normalized)
  if (x1 <= 0 || y1 <= 0 || x0 >= width || y0 >= height) {
    throw new Sam3InputError('ERR_INVALID_BOX', `${name} ${text} lies outside of ${extentText(size, normalized)}.`, {
      fix: 'Coordinates are pixels of the image as it is seen, EXIF orientation applied.',
    })
  }
  return [x0 / width, y0 / height, x1 / width, y1 / height]
}

/**
 * Checks a point and gives it as fractions of the image.
 * @throws Sam3InputError `ERR_INVALID_POINT`
 */
export function toUnitPoint(point: unknown, size: ImageSize, normalized: boolean, name = 'The point'): Point {
  if (!isNumbers(point, 2) || !point.every(Number.isFinite)) {
    const text = Array.isArray(point) ? ` [${point.join(', ')}]` : ''
    throw new Sam3InputError('ERR_INVALID_POINT', `${name}${text} must be two finite numbers [x, y].`, {
      fix: 'Pass column and row in pixels.',
    })
  }
  const [x, y] = point as unknown as Point
  const [width, height] = extent(size, normalized)
  if (x < 0 || y < 0 || x > width || y > height) {
    throw new Sam3InputError(
      'ERR_INVALID_POINT',
      `${name} [${x}, ${y}] lies outside of ${extentText(size, normalized)}.`,
      {
        fix: 'Coordinates are pixels of the image as it is seen, EXIF orientation applied.',
      },
    )
  }
  return [x / width, y / height]
}

/**
 * 1 for positive, 0 for negative.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT` for anything else.
 */
export function toLabel(label: PromptLabel | undefined, name: string): 0 | 1 {
  if (label === undefined || label === 'positive' || label === 1) return 1
  if (label === 'negative' || label === 0) return 0
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The label of ${name} is ${JSON.stringify(label)}.`, {
    fix: "Use 'positive' (or 1) or 'negative' (or 0).",
  })
}

/** [x0, y0, x1, y1] to centre and size, the network's form of an exemplar. */
export function toCenterBox([x0, y0, x1, y1]: Box): [cx: number, cy: number, width: number, height: number] {
  return [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
}
