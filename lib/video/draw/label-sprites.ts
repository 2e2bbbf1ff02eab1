/** Labels as pixels: those of a video are the same from frame to frame, so each is drawn once. */
import sharp from 'sharp'
import { labelChip } from '../../result/overlay-svg.js'
import type { Rgb } from '../../result/palette.js'
import { rendered } from '../../image/render.js'

/** A label as RGBA pixels. */
export interface LabelSprite {
  data: Uint8Array
  width: number
  height: number
}

/** More than are on one frame; a video with ever new objects must not fill the memory. */
const KEPT = 500
const kept = new Map<string, Promise<LabelSprite>>()

/** A label of letters of `size` pixels, at most `room` pixels wide. */
export function labelSprite(text: string, color: Rgb, size: number, room: number): Promise<LabelSprite> {
  const key = `${size} ${room} ${color} ${text}`
  const sprite = kept.get(key) ?? draw(text, color, size, room)
  kept.delete(key) // so that the last one used is the last one to go
  kept.set(key, sprite)
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break
    kept.delete(oldest)
  }
  return sprite
}

async function draw(text: string, color: Rgb, size: number, room: number): Promise<LabelSprite> {
  const chip = labelChip(text, size, room)
  const [width, height] = [Math.ceil(chip.width), Math.ceil(chip.height)]
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${chip.svg(0, 0, color)}</svg>`
  const picture = sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const { data, info } = await rendered(picture, 'The label')
  return { data, width: info.width, height: info.height }
}
