/** A smooth line round a mask, painted on RGB pixels. Much faster than vector graphics, which matters for a video. */
import sharp from 'sharp'
import type { RgbImage } from '../../image/source.js'
import type { Mask } from '../../result/mask.js'
import type { Rgb } from '../../label/palette.js'
import { OWN_PIXELS, rendered } from '../../image/render.js'

/** How dark the line is that keeps the coloured one visible on a background of its own colour. */
const HALO = 0.45

/** How much of a pixel is covered by the line and by its halo, for each grey of the blurred mask. */
function coverage(line: number, sigma: number): { line: Float32Array; halo: Float32Array } {
  const covered = { line: new Float32Array(256), halo: new Float32Array(256) }
  const within = (distance: number, half: number) => Math.max(0, Math.min(1, half + 0.5 - distance))
  for (let grey = 0; grey < 256; grey++) {
    // A straight edge under a Gaussian is the normal distribution, so the grey tells how far away the edge is.
    const distance = Math.abs(normalQuantile((grey + 0.5) / 256)) * sigma
    covered.line[grey] = within(distance, line / 2)
    covered.halo[grey] = HALO * within(distance, line)
  }
  return covered
}

/** The inverse of the normal distribution, by bisection of its tanh approximation (error below 0.01 sigma). */
function normalQuantile(p: number): number {
  let [low, high] = [-4, 4]
  for (let step = 0; step < 24; step++) {
    const middle = (low + high) / 2
    const value = (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (middle + 0.044715 * middle ** 3))) / 2
    if (value < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Draws the outline of a mask, `line` pixels wide. Specks that are smaller than the line get none. */
export async function drawContour(picture: RgbImage, mask: Mask, color: Rgb, line: number): Promise<void> {
  if (mask.area === 0) return
  const sigma = Math.max(1, line * 0.6)
  const margin = Math.ceil(2 * line + 1)
  const [x0, y0] = [Math.max(0, mask.box[0] - margin), Math.max(0, mask.box[1] - margin)]
  const [x1, y1] = [Math.min(picture.width, mask.box[2] + margin), Math.min(picture.height, mask.box[3] + margin)]
  const [width, height] = [x1 - x0, y1 - y0]
  const hard = Buffer.alloc(width * height)
  mask.forEachStretch((x, from, to) => {
    for (let y = from; y < to; y++) hard[(y - y0) * width + x - x0] = 255
  })
  const blurred = sharp(hard, { ...OWN_PIXELS, raw: { width, height, channels: 1 } }).blur(sigma)
  const soft = await rendered(blurred.toColourspace('b-w').raw().toBuffer(), 'The outline of a mask')
  const covered = coverage(line, sigma)
  const { data } = picture
  for (let y = 0; y < height; y++) {
    const row = y * width
    for (let x = 0; x < width; x++) {
      const grey = soft[row + x]!
      const halo = covered.halo[grey]!
      if (halo === 0) continue
      const alpha = covered.line[grey]!
      const keep = (1 - halo) * (1 - alpha)
      const at = ((y + y0) * picture.width + x + x0) * 3
      data[at] = data[at]! * keep + color[0] * alpha
      data[at + 1] = data[at + 1]! * keep + color[1] * alpha
      data[at + 2] = data[at + 2]! * keep + color[2] * alpha
    }
  }
}
