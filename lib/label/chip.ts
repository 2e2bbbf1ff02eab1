/** A label: a name and a number on a rectangle of the colour of its object. */
import { readableOn, type Rgb, toHex } from './palette.js'
import { cleanText } from './clean.js'
import type { LabelFont } from './font.js'
import { warnOfMissing } from './missing.js'
import { type FittedText, fitFonts } from './runs.js'
import { layOutWithin, lineSvg } from './text-line.js'

/** What a label says. */
export interface LabelText {
  name: string
  /** A number behind the name, which is kept where the name is shortened. */
  suffix?: string
  /** Stands for the name where nothing of it can be drawn. */
  fallback: string
}

/** A label before it has a place. */
export interface LabelChip {
  width: number
  height: number
  /** The label as SVG, its upper left corner at (`x`, `y`). */
  svg(x: number, y: number, color: Rgb): string
}

/** Lengths in em. */
const PADDING = 0.35
const HEIGHT = 1.5
/** Capitals are centred: they are 0.73 em high in the first font. */
const BASELINE = HEIGHT / 2 + 0.365
/** Between the ink and the edge, where marks are higher or deeper than the letters of most scripts. */
const MARGIN = 0.12

/** Height of the letters: readable on a thumbnail, not monstrous on a satellite image. */
export function labelSize(width: number, height: number): number {
  return Math.max(12, Math.min(72, Math.round(Math.min(width, height) * 0.026)))
}

/**
 * Makes a label of letters of `size` pixels, at most `room` pixels wide.
 * @param fonts Come before those of the package.
 */
export async function labelChip(
  { name, suffix = '', fallback }: LabelText,
  size: number,
  room: number,
  fonts: readonly LabelFont[],
): Promise<LabelChip> {
  const fit = (text: string): Promise<FittedText> => fitFonts(text, fonts)
  const wished = await fit(cleanText(String(name))) // a program without types may pass a number
  warnOfMissing(wished.missing)
  const shown = wished.readable ? wished : await fit(cleanText(fallback))
  const [tail, ellipsis] = [await fit(suffix), await fit('…')]
  const widest = room / size - 2 * PADDING
  const line = layOutWithin(widest, shown.graphemes, tail.graphemes, ellipsis.graphemes)
  const above = Math.max(BASELINE, line.top + MARGIN) * size
  const below = Math.max(HEIGHT - BASELINE, MARGIN - line.bottom) * size
  const [width, height] = [(line.width + 2 * PADDING) * size, above + below]
  return {
    width,
    height,
    svg: (x, y, color) => {
      const letters = lineSvg(line, x + PADDING * size, y + above, size)
      return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${size * 0.2}" fill="${toHex(color)}" fill-opacity=".92"/><g fill="${readableOn(color)}">${letters}</g>`
    },
  }
}
