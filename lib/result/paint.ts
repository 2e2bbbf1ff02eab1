/** Painting masks on RGB pixels. */
import type { RgbImage } from '../image/source.js'
import type { Mask } from './mask.js'
import type { Rgb } from '../label/palette.js'

/** How much of the picture the fill hides. */
export const DEFAULT_OPACITY = 0.42

/**
 * Blends a colour over the set pixels of a mask.
 * @param scale Picture pixels per pixel of the mask, a whole number.
 */
export function fillMask({ data, width }: RgbImage, mask: Mask, color: Rgb, opacity: number, scale = 1): void {
  const [red, green, blue] = color.map((channel) => channel * opacity) as [number, number, number]
  const keep = 1 - opacity
  mask.forEachStretch((x, y0, y1) => {
    for (let y = y0 * scale; y < y1 * scale; y++) {
      let at = (y * width + x * scale) * 3
      for (let column = 0; column < scale; column++, at += 3) {
        data[at] = data[at]! * keep + red
        data[at + 1] = data[at + 1]! * keep + green
        data[at + 2] = data[at + 2]! * keep + blue
      }
    }
  })
}
