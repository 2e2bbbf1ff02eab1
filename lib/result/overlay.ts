/** A picture of a result that a person would want to look at. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import sharp from 'sharp'
import { Sam3InputError } from '../base/errors.js'
import { decodeImage } from '../image/decode.js'
import type { ImageInput, RgbImage } from '../image/source.js'
import { checkKeys } from '../base/checks.js'
import { loadNamedFonts } from '../label/fonts.js'
import type { Mask } from './mask.js'
import { overlaySvg } from './overlay-svg.js'
import { DEFAULT_OPACITY, fillMask } from './paint.js'
import { instanceColor } from '../label/palette.js'
import { shown } from '../base/shown.js'
import { OWN_PIXELS, rendered } from '../image/render.js'
import type { OverlayInstance } from './types.js'

/** How an overlay is drawn. */
export interface OverlayOptions {
  /** How much of the picture the fill hides, 0..1. Default 0.42. */
  opacity?: number
  /** A crisp line around each mask. Default true. */
  contours?: boolean
  /** The detector's box. Default true. */
  boxes?: boolean
  /** Text and score. Default true. */
  labels?: boolean
  /**
   * Font files for labels (TrueType, OpenType, WOFF): the first one that has a character draws it, before the fonts of
   * the package, which have most scripts in use.
   */
  fonts?: readonly string[]
  /**
   * Picture pixels per image pixel, a whole number. Default `'auto'`: 1, more for images whose longer side has fewer
   * than 480 pixels, on which no label could be read.
   */
  scale?: number | 'auto'
  /** Default `'png'`. */
  format?: 'png' | 'jpeg' | 'webp'
}

const OPTION_KEYS = ['opacity', 'contours', 'boxes', 'labels', 'fonts', 'scale', 'format'] as const
const READABLE_SIDE = 480

/**
 * Draws masks, boxes and labels over an image.
 *
 * @param image The image that was segmented, in any form that `segment` takes.
 * @param instances What was found; the first ones get the most distinct colours.
 * @returns The bytes of a PNG (or of `options.format`).
 * @throws Sam3InputError `ERR_INVALID_MASK` when a mask has not the size of the image, `ERR_INVALID_FONT` for a file of
 *   `fonts` that is no font; errors of the image as in `segment`.
 *
 * @example
 * ```ts
 * const { instances } = await model.segment('truck.jpg', { text: 'wheel' })
 * await writeFile('wheels.png', await overlay('truck.jpg', instances))
 * ```
 */
export async function overlay(
  image: ImageInput,
  instances: readonly OverlayInstance[],
  options: OverlayOptions = {},
): Promise<Buffer> {
  checkKeys(options, OPTION_KEYS, 'The options of overlay')
  const opacity = checkOpacity(options.opacity)
  const fonts = await loadNamedFonts(options.fonts)
  const decoded = await decodeImage(image)
  for (const { mask } of instances) checkSize(mask, decoded)
  const scale = pictureScale(options.scale, decoded)
  const format = checkFormat(options.format, scale * Math.max(decoded.width, decoded.height))
  const picture = await enlarge(decoded, scale)

  const colored = instances.map((instance, index) => ({ instance, color: instanceColor(index) }))
  // Large masks first, so that small ones on top of them stay visible.
  for (const { instance, color } of colored.toSorted((a, b) => b.instance.mask.area - a.instance.mask.area)) {
    await nextTurn() // a mask of a large image takes milliseconds: let the event loop breathe between two
    fillMask(picture, instance.mask, color, opacity, scale)
  }
  const { width, height } = picture
  const { contours = true, boxes = true, labels = true } = options
  const svg = await overlaySvg(colored, { width, height, scale, contours, boxes, labels, fonts })
  const drawn = sharp(picture.data, { ...OWN_PIXELS, raw: { width, height, channels: 3 } })
    // A mask of noise has an outline of megabytes, which the SVG reader would refuse by default.
    .composite([{ input: Buffer.from(svg), unlimited: true, limitInputPixels: false }])
    .removeAlpha()
    .toFormat(format, format === 'png' ? { compressionLevel: 7 } : { quality: 92 })
  return rendered(drawn.toBuffer(), 'The overlay')
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
export function checkOpacity(opacity: number = DEFAULT_OPACITY): number {
  if (typeof opacity === 'number' && opacity >= 0 && opacity <= 1) return opacity
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `opacity must be a number from 0 to 1, not ${shown(opacity)}.`, {
    fix: 'Leave it out for the default.',
  })
}

/** Formats, with the longest side that each can have. */
const FORMATS = { png: 65_535, jpeg: 65_500, webp: 16_383 } as const

function checkFormat(format: unknown, side: number): keyof typeof FORMATS {
  if (format === undefined) return 'png'
  if (typeof format !== 'string' || !Object.hasOwn(FORMATS, format)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `format cannot be ${shown(format)}.`, {
      fix: `Use one of '${Object.keys(FORMATS).join("', '")}'.`,
    })
  }
  const known = format as keyof typeof FORMATS
  if (side <= FORMATS[known]) return known
  throw new Sam3InputError(
    'ERR_INVALID_ARGUMENT',
    `A picture of ${side} pixels is too long for ${known}, which ends at ${FORMATS[known]}.`,
    { fix: "Use 'png'." },
  )
}

function checkSize(mask: Mask, image: RgbImage): void {
  if (mask.width === image.width && mask.height === image.height) return
  throw new Sam3InputError(
    'ERR_INVALID_MASK',
    `A mask of ${mask.width} x ${mask.height} cannot be drawn on an image of ${image.width} x ${image.height}.`,
    { fix: 'Pass the image that the mask was made from, at the same size.' },
  )
}

function pictureScale(scale: OverlayOptions['scale'], { width, height }: RgbImage): number {
  if (scale === undefined || scale === 'auto') return Math.max(1, Math.ceil(READABLE_SIDE / Math.max(width, height)))
  if (Number.isInteger(scale) && scale >= 1 && scale * Math.max(width, height) <= 65_535) return scale
  throw new Sam3InputError(
    'ERR_INVALID_ARGUMENT',
    `scale must be 'auto' or a whole number of at least 1, not ${shown(scale)}.`,
    { fix: "Use 'auto', or scale the result with sharp." },
  )
}

async function enlarge(image: RgbImage, scale: number): Promise<RgbImage> {
  const { width, height } = image
  // The pixels may be the caller's own: never draw into them.
  if (scale === 1) return { width, height, data: Uint8Array.from(image.data) }
  const large = sharp(image.data, { ...OWN_PIXELS, raw: { width, height, channels: 3 } })
    .resize(width * scale, height * scale, { kernel: 'cubic', fit: 'fill' })
    .raw()
  const data = await rendered(large.toBuffer(), 'The enlarged image')
  return { width: width * scale, height: height * scale, data }
}
