/** A binary mask and its views. */
import { recogniseInAllCopies } from '../base/same-class.js'
import sharp from 'sharp'
import { Sam3InputError } from '../base/errors.js'
import type { Box, MaskLogits } from '../geometry/types.js'
import { bitmapToPolygons, type Polygon, type PolygonOptions } from './polygons.js'
import { bitmapToRuns, type CocoRle, forEachStretch, runsToString, stringToRuns, type UncompressedRle } from './rle.js'
import { OWN_PIXELS, rendered } from '../image/render.js'

/**
 * A binary mask of the size of its image. It is held as run lengths, a few kilobytes, so keeping thousands of them is
 * cheap; each view is made when it is asked for.
 *
 * @example
 * ```ts
 * const { instances } = await model.segment('truck.jpg', { text: 'wheel' })
 * for (const { mask } of instances) console.log(mask.area, mask.toRle())
 * ```
 */
export class Mask {
  /** Pixels in a row. */
  readonly width: number
  /** Rows. */
  readonly height: number
  /** Set pixels. */
  readonly area: number
  /** Smallest box around the set pixels, [x0, y0, x1, y1] with x1 and y1 exclusive; [0, 0, 0, 0] for an empty mask. */
  readonly box: Box
  /** The network's logits where they were asked for; `maskInput` of a later `predict` takes them. */
  readonly logits: MaskLogits | undefined
  readonly #runs: Uint32Array

  /** @internal Run lengths as in COCO: column-major, first run zeros. */
  constructor(width: number, height: number, runs: Uint32Array, area: number, box: Box, logits?: MaskLogits) {
    this.width = width
    this.height = height
    this.area = area
    this.box = box
    this.logits = logits
    this.#runs = runs
  }

  /**
   * A mask from a row-major bitmap; any value but 0 counts as set.
   * @throws Sam3InputError `ERR_INVALID_MASK` when the length is not `width * height`.
   */
  static fromBitmap(bitmap: ArrayLike<number>, width: number, height: number): Mask {
    if (!(width > 0) || !(height > 0) || bitmap.length !== width * height) {
      throw new Sam3InputError(
        'ERR_INVALID_MASK',
        `A bitmap of ${bitmap.length} values is no mask of ${width} x ${height}.`,
        { fix: 'Pass width * height values, row by row.' },
      )
    }
    return fromRuns(bitmapToRuns(bitmap, width, height), width, height)
  }

  /**
   * A mask from COCO's RLE, compressed or not.
   * @throws Sam3InputError `ERR_INVALID_MASK` when the runs do not add up to the size.
   */
  static fromRle({ size: [height, width], counts }: CocoRle | UncompressedRle): Mask {
    const isList = Array.isArray(counts) && counts.every(Number.isInteger)
    const runs = typeof counts === 'string' ? stringToRuns(counts) : Uint32Array.from(isList ? counts : [])
    const total = runs.reduce((sum, run) => sum + run, 0)
    if (total !== width * height) {
      throw new Sam3InputError(
        'ERR_INVALID_MASK',
        `The RLE covers ${total} pixels, its size says ${width} x ${height}.`,
        { fix: 'Pass { size: [height, width], counts } as pycocotools writes it.' },
      )
    }
    return fromRuns(runs, width, height)
  }

  /** Whether the pixel in column `x` and row `y` is set; false outside of the image. */
  has(x: number, y: number): boolean {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return false
    let position = Math.floor(x) * this.height + Math.floor(y)
    for (let index = 0; index < this.#runs.length; index++) {
      position -= this.#runs[index]!
      if (position < 0) return index % 2 === 1
    }
    return false
  }

  /** `width * height` bytes, row-major, 1 where set. */
  toBitmap(): Uint8Array {
    return this.#crop(0, 0, this.width, this.height)
  }

  /** One bit per pixel, row-major across row ends, most significant bit first: `numpy.packbits(mask)`. */
  toPacked(): Uint8Array {
    const packed = new Uint8Array(Math.ceil((this.width * this.height) / 8))
    forEachStretch(this.#runs, this.height, (x, y0, y1) => {
      for (let y = y0; y < y1; y++) {
        const position = y * this.width + x
        const byte = Math.floor(position / 8)
        packed[byte] = packed[byte]! | (0x80 >> (position % 8))
      }
    })
    return packed
  }

  /** COCO's compressed run-length encoding, byte-equal to pycocotools'. */
  toRle(): CocoRle {
    return { size: [this.height, this.width], counts: runsToString(this.#runs) }
  }

  /** A greyscale PNG, 255 where set. */
  async toPng(): Promise<Buffer> {
    const pixels = this.toBitmap()
    for (let index = 0; index < pixels.length; index++) pixels[index] = pixels[index]! * 255
    const picture = sharp(pixels, { ...OWN_PIXELS, raw: { width: this.width, height: this.height, channels: 1 } })
    const png = picture.toColourspace('b-w').png({ compressionLevel: 9 })
    return rendered(png.toBuffer(), 'The mask as PNG')
  }

  /**
   * Outlines along pixel edges, in pixels: one polygon per connected piece, with its holes. Exact by default (area of
   * the polygons less their holes = `area`); `tolerance: 1` gives far fewer corners that look the same.
   */
  toPolygons(options: PolygonOptions = {}): Polygon[] {
    const [x0, y0, x1, y1] = this.box
    if (this.area === 0) return []
    return bitmapToPolygons(this.#crop(x0, y0, x1, y1), x1 - x0, y1 - y0, x0, y0, options)
  }

  /** @internal Calls `visit(x, y0, y1)` for every vertical stretch of set pixels, y1 exclusive. */
  forEachStretch(visit: (x: number, y0: number, y1: number) => void): void {
    forEachStretch(this.#runs, this.height, visit)
  }

  #crop(x0: number, y0: number, x1: number, y1: number): Uint8Array {
    const width = x1 - x0
    const bitmap = new Uint8Array(width * (y1 - y0))
    forEachStretch(this.#runs, this.height, (x, from, to) => {
      for (let y = from; y < to; y++) bitmap[(y - y0) * width + x - x0] = 1
    })
    return bitmap
  }
}
recogniseInAllCopies(Mask, 'Mask')

function fromRuns(runs: Uint32Array, width: number, height: number): Mask {
  let area = 0
  let [x0, y0, x1, y1] = [width, height, 0, 0]
  forEachStretch(runs, height, (x, from, to) => {
    area += to - from
    x0 = Math.min(x0, x)
    x1 = Math.max(x1, x + 1)
    y0 = Math.min(y0, from)
    y1 = Math.max(y1, to)
  })
  return new Mask(width, height, runs, area, area === 0 ? [0, 0, 0, 0] : [x0, y0, x1, y1])
}
