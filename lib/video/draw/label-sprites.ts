/** Labels as pixels: those of a video are the same from frame to frame, so each is drawn once. */
import sharp from 'sharp'
import { type LabelText, labelChip } from '../../label/chip.js'
import type { LabelFont } from '../../label/font.js'
import type { Rgb } from '../../label/palette.js'
import { rendered } from '../../image/render.js'

/** A label as RGBA pixels. */
export interface LabelSprite {
  data: Uint8Array
  width: number
  height: number
}

/** How labels look, apart from their colour. */
export interface LabelStyle {
  /** Height of the letters in pixels. */
  size: number
  /** The most pixels that a label may be wide. */
  room: number
  /** Come before those of the package. */
  fonts: readonly LabelFont[]
}

/** More than are on one frame; a video with ever new objects must not fill the memory. */
const KEPT = 500
const kept = new Map<string, Promise<LabelSprite>>()
/** A font is the same object each time that it is named. */
const fontNumbers = new WeakMap<LabelFont, number>()
let fontCount = 0

function fontNumber(font: LabelFont): number {
  const number = fontNumbers.get(font) ?? fontCount++
  fontNumbers.set(font, number)
  return number
}

/** Draws a label, or gives the one that was drawn before. */
export function labelSprite(text: LabelText, color: Rgb, style: LabelStyle): Promise<LabelSprite> {
  const key = JSON.stringify([text, color, style.size, style.room, style.fonts.map(fontNumber)])
  const sprite = kept.get(key) ?? draw(text, color, style)
  kept.delete(key) // so that the last one used is the last one to go
  kept.set(key, sprite)
  sprite.catch(() => kept.delete(key))
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break
    kept.delete(oldest)
  }
  return sprite
}

async function draw(text: LabelText, color: Rgb, { size, room, fonts }: LabelStyle): Promise<LabelSprite> {
  const chip = await labelChip(text, size, room, fonts)
  const [width, height] = [Math.ceil(chip.width), Math.ceil(chip.height)]
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${chip.svg(0, 0, color)}</svg>`
  const picture = sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const { data, info } = await rendered(picture, 'The label')
  return { data, width: info.width, height: info.height }
}
