/** Draws what was found over a frame of a video: made for thousands of frames, with colours that stay. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Sam3InputError } from '../../base/errors.js'
import type { RgbImage } from '../../image/source.js'
import { type LabelText, labelSize } from '../../label/chip.js'
import type { LabelFont } from '../../label/font.js'
import { loadNamedFonts } from '../../label/fonts.js'
import { checkKeys } from '../../base/checks.js'
import type { Box } from '../../geometry/types.js'
import { placeLabel, type Rectangle } from '../../result/label-layout.js'
import type { Mask } from '../../result/mask.js'
import { checkOpacity } from '../../result/overlay.js'
import { fillMask } from '../../result/paint.js'
import { instanceColor, type Rgb } from '../../label/palette.js'
import type { SourceFrame } from '../source/types.js'
import { drawContour } from './contour.js'
import { type LabelSprite, labelSprite } from './label-sprites.js'

/** What is drawn of an object: a `TrackedObject` has it. */
export interface DrawnObject {
  /** Decides the colour, which is the same on every frame. */
  id: number
  /** Of the size of the video. */
  mask: Mask
  /** Where the label goes, and the rectangle, in pixels. Default: the box of the mask. */
  box?: Box
  /** The text that found it; part of the label. */
  prompt?: string | undefined
}

/** How {@link overlayFrame} draws. */
export interface OverlayFrameOptions {
  /** How much of the picture the fill hides, 0..1. Default 0.42. */
  opacity?: number
  /** A line around each mask. Default true. */
  contours?: boolean
  /** A rectangle around each object. Default false. */
  boxes?: boolean
  /** What stands beside an object; false or an empty text: nothing. Default: its prompt and its id, such as `dog 3`. */
  labels?: false | ((object: DrawnObject) => string)
  /**
   * Font files for labels (TrueType, OpenType, WOFF): the first one that has a character draws it, before the fonts of
   * the package, which have most scripts in use.
   */
  fonts?: readonly string[]
}

/** `dog 3`; without a text, `#3`. */
export function objectLabel({ id, prompt }: DrawnObject): string {
  return prompt ? `${prompt} ${id}` : `#${id}`
}

/**
 * Draws masks, outlines and labels over a frame.
 *
 * @param frame As a source gives it; it is left as it is.
 * @param objects A `FrameResult`'s; those that are not seen, with an empty mask, are left out.
 * @returns A new frame, with the time of the old one, that `VideoWriter` and sharp can take.
 * @throws Sam3InputError `ERR_INVALID_MASK` where a mask has not the size of the frame, `ERR_INVALID_FONT` for a
 *   file of `fonts` that is no font, `ERR_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * const video = await openSource('clip.mp4')
 * for await (const { frameIndex, objects } of session.propagate()) {
 *   const drawn = await overlayFrame(await video.frame(frameIndex), objects)
 *   await writer.write(drawn)
 * }
 * ```
 */
export async function overlayFrame(
  frame: SourceFrame,
  objects: readonly DrawnObject[],
  options: OverlayFrameOptions = {},
): Promise<SourceFrame> {
  checkKeys(options, ['opacity', 'contours', 'boxes', 'labels', 'fonts'], 'The options of overlayFrame')
  const { contours = true, boxes = false, labels } = options
  const opacity = checkOpacity(options.opacity)
  const fonts = await loadNamedFonts(options.fonts)
  const { width, height } = frame
  for (const { mask } of objects) {
    if (mask.width === width && mask.height === height) continue
    throw new Sam3InputError(
      'ERR_INVALID_MASK',
      `A mask of ${mask.width} x ${mask.height} cannot be drawn on a frame of ${width} x ${height}.`,
      { fix: 'Pass the frame that the result is about, at the same size.' },
    )
  }
  const picture = { ...frame, data: Uint8Array.from(frame.data) }
  const line = Math.max(2, Math.max(width, height) / 480)
  const seen = objects.filter(({ mask }) => mask.area > 0)
  // Large masks first, so that small ones on top of them stay visible.
  for (const { id, mask } of seen.toSorted((a, b) => b.mask.area - a.mask.area)) {
    await nextTurn() // a large mask takes milliseconds: let the event loop breathe between two
    fillMask(picture, mask, instanceColor(id), opacity)
    if (contours) await drawContour(picture, mask, instanceColor(id), line)
  }
  if (boxes)
    for (const object of objects) drawBox(picture, boxOf(object), instanceColor(object.id), Math.ceil(line / 2))
  if (labels !== false) await drawLabels(picture, seen, labels, fonts)
  return picture
}

function boxOf({ box, mask }: DrawnObject): Box {
  return box ?? mask.box
}

function drawBox({ data, width, height }: RgbImage, box: Box, color: Rgb, line: number): void {
  const clamp = (value: number, limit: number) => Math.max(0, Math.min(limit, Math.round(value)))
  const [x0, y0, x1, y1] = [clamp(box[0], width), clamp(box[1], height), clamp(box[2], width), clamp(box[3], height)]
  const paint = (left: number, top: number, right: number, bottom: number) => {
    for (let y = Math.max(y0, top); y < Math.min(y1, bottom); y++) {
      for (let x = Math.max(x0, left); x < Math.min(x1, right); x++) data.set(color, (y * width + x) * 3)
    }
  }
  paint(x0, y0, x1, y0 + line)
  paint(x0, y1 - line, x1, y1)
  paint(x0, y0, x0 + line, y1)
  paint(x1 - line, y0, x1, y1)
}

/** Reads as {@link objectLabel}, and keeps the number where a long text is shortened. */
export function defaultLabel(object: DrawnObject): LabelText {
  const { id, prompt } = object
  return prompt ? { name: prompt, suffix: `${id}`, fallback: 'object' } : { name: objectLabel(object), fallback: '#' }
}

async function drawLabels(
  picture: RgbImage,
  objects: readonly DrawnObject[],
  text: ((object: DrawnObject) => string) | undefined,
  fonts: readonly LabelFont[],
): Promise<void> {
  const taken: Rectangle[] = []
  const style = { size: labelSize(picture.width, picture.height), room: picture.width, fonts }
  for (const object of objects) {
    const label = text ? { name: text(object), fallback: `#${object.id}` } : defaultLabel(object)
    if (!label.name) continue
    const sprite = await labelSprite(label, instanceColor(object.id), style)
    const { x, y } = placeLabel(boxOf(object), sprite, picture, taken)
    blend(picture, sprite, Math.round(x), Math.round(y))
  }
}

function blend({ data, width, height }: RgbImage, sprite: LabelSprite, x0: number, y0: number): void {
  for (let y = 0; y < Math.min(sprite.height, height - y0); y++) {
    for (let x = 0; x < Math.min(sprite.width, width - x0); x++) {
      const from = (y * sprite.width + x) * 4
      const to = ((y + y0) * width + x + x0) * 3
      const alpha = sprite.data[from + 3]! / 255
      for (let channel = 0; channel < 3; channel++) {
        data[to + channel] = data[to + channel]! * (1 - alpha) + sprite.data[from + channel]! * alpha
      }
    }
  }
}
